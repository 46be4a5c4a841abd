"""Training: frames and scores in, one EpochResult an epoch out. Knows neither Ray nor MLflow."""
