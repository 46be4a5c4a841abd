"""The search: space, sampler, director, warm workers, Ray Tune. The only home of ray and optuna."""
