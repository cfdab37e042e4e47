"""Sizes of the published transformer encoders, by the names under which they are published."""

SIZES: dict[str, dict[str, dict[str, int]]] = {  # encoder.kind -> encoder.size -> dim, depth, heads
    "ced": {
        "tiny": {"dim": 192, "depth": 12, "heads": 3},
        "mini": {"dim": 256, "depth": 12, "heads": 4},
        "small": {"dim": 384, "depth": 12, "heads": 6},
        "base": {"dim": 768, "depth": 12, "heads": 12},
    },
    "dasheng": {
        "base": {"dim": 768, "depth": 12, "heads": 12},
        "0.6B": {"dim": 1280, "depth": 32, "heads": 16},
        "1.2B": {"dim": 1536, "depth": 40, "heads": 24},
    },
}
