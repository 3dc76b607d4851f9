"""Answers with a trained model: what was typed, what is answered, and where the answers go."""
