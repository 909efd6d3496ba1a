"""The voucher as people see it: drawn in millimetres from its content, then written as SVG or PDF. docs/paper.md.

    VoucherContent --draw--> pages of lines, texts, seals --svg.page_svg--> inline SVG for the voucher page
                                                          --pdf.paper-----> PDF/A-3b with the signed originals inside

Pure: no database, clock, network or setting. A paper proves nothing by itself; what it shows of a seal is the verdict
the caller found, and what it is worth is in the originals attached to the PDF.
"""
