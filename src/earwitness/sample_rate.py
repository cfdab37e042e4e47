"""The sample rate of the package: what media are decoded at, and what most encoders take."""

SAMPLE_RATE = 16_000  # Hz
