"""
An export in parts: cut into ranges of keys, written side by side, put together as one file.

The rule of consistency: the keys up to the greatest at the start are cut into ranges, each from
after one key up to another. Each part is one snapshot of its range. Rows that change meanwhile
appear in either version; rows that are added later with greater keys do not appear. On a quiet
table the file has the bytes that a single job would write.

`ranges` cuts, `writing` writes a part, `assembling` the file, `manifest` what is known of it,
`removing` takes the parts away, `verifying` proves the file and `comparing` says what is wrong.
"""
