"""Evaluation: a trained model -> values per position -> metrics, intervals and generated text."""
