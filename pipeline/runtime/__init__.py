"""Process services that know nothing of learning."""
