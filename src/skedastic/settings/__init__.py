"""Settings: the configuration, names with settings, and the papers' tables as presets."""
