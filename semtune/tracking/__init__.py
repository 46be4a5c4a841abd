"""Searches in MLflow: the journal sent as runs, and the champion in the registry. The only home of mlflow."""
