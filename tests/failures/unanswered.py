"""What eip-operator promises when the API server refuses, answers nonsense, or does not answer."""
