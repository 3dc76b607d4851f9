"""Networks, pretrained backbones and heads, as torch modules."""
