"""The presets: YAML files, read by config/preset.py."""
