"""Diagnosis of a regressor: where each point of accuracy, and each nat, of its distance to a reference is lost."""
