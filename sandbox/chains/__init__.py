"""Chain access: the `Chain` port, its adapters, intents and attempts, the watcher."""
