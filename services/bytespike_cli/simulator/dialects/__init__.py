"""The vendors' dialects, one package a vendor. None knows another, and none our own codecs."""
