"""
The nightly clean-up of exports: afterwards no file is without a row, and no row without a file.

`survey` looks at both sides and touches nothing, `expired` deletes what is old, `strays` what has
lost its other half, `leftovers` the parts and manifests that no export needs; `clean_up` does one
after the other.
"""
