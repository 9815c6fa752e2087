"""Certificate authorities, certificates, and who a certificate names."""
