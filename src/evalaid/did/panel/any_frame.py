"""Any table of another library as a pandas frame, columns kept as they are."""

from __future__ import annotations

from typing import Any

import pandas as pd


def as_frame(data: Any) -> pd.DataFrame | None:
    """Return a pandas frame of anything that narwhals knows or that offers Arrow or the interchange protocol, else None.

    Polars (eager or lazy), PyArrow, Ibis tables, DuckDB relations, Modin, Dask and others; a pandas frame is returned itself.
    Codes that are text stay text, and whole numbers with gaps stay whole numbers.

    Examples
    --------
    >>> import polars as pl  # doctest: +SKIP
    >>> as_frame(pl.DataFrame({"code": ["0440", "0441"]}))["code"].tolist()  # doctest: +SKIP
    ['0440', '0441']
    """
    if isinstance(data, pd.DataFrame):
        return data
    import narwhals as nw

    found = nw.from_native(data, pass_through=True)
    if isinstance(found, nw.LazyFrame):
        found = found.collect()
    if isinstance(found, nw.DataFrame):
        if found.implementation.is_pandas_like():
            return found.to_pandas()
        return _from_arrow(found.to_arrow())
    if hasattr(data, "__arrow_c_stream__"):
        import pyarrow as pa

        try:
            return _from_arrow(pa.table(data))
        except pa.ArrowInvalid:  # a stream of one column
            return None
    if hasattr(data, "__dataframe__"):
        from pyarrow.interchange import from_dataframe

        return _from_arrow(from_dataframe(data))
    return None


def _from_arrow(table: Any) -> pd.DataFrame:
    import pyarrow as pa

    whole = {
        pa.int8(): pd.Int8Dtype(), pa.int16(): pd.Int16Dtype(), pa.int32(): pd.Int32Dtype(), pa.int64(): pd.Int64Dtype(),
        pa.uint8(): pd.UInt8Dtype(), pa.uint16(): pd.UInt16Dtype(), pa.uint32(): pd.UInt32Dtype(),
        pa.uint64(): pd.UInt64Dtype(), pa.bool_(): pd.BooleanDtype(),
    }  # fmt: skip
    gaps = {field.type for field, column in zip(table.schema, table.columns, strict=True) if column.null_count}
    frame: pd.DataFrame = table.to_pandas(types_mapper={kind: whole[kind] for kind in gaps if kind in whole}.get)
    return frame
