"""What several test files build: commands, models, configurations, records, slow references."""
