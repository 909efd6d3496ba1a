"""Electronic seals (电子印章) of GB/T 38540 and its relatives: read, build, verify and draw. No Django here."""
