"""The presets: YAML files, read by config.py."""
