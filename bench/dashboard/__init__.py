"""Records -> Weights & Biases: the summary run of an experiment, the project's workspace and its report."""
