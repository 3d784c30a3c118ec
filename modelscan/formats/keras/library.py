"""HDF5 files as the HDF5 library sees them, whatever they are; and what keeps them from doing harm to it, or by it.

Facts from the HDF5 File Format Specification 3.0 (links: IV.A.2.g) and from h5py's low-level API.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import h5py
import numpy as np
from h5py import h5a, h5d, h5g, h5l, h5o, h5s, h5t, h5z

from modelscan.errors import LimitExceeded, UnreadableFile
from modelscan.formats.keras.hdf5attr import excess
from modelscan.formats.keras.heaps import GuardedFile
from modelscan.formats.keras.naming import natural
from modelscan.formats.keras.store import Store, kind_of
from modelscan.limits import GIB, Limits
from modelscan.model import Observation, StoredTensor

_PLUGIN_FILTERS = 256
"""Filter numbers from here on are no part of the library: they name plugins (HDF5 filter registry)."""

_BROKEN = (OSError, RuntimeError, ValueError, KeyError)
"""What h5py makes of the library's errors; which of them does not tell much."""


def open_file(store: Store) -> Any:
    """The file of a store, opened by the library.

    Raises:
        UnreadableFile: `truncated-hdf5` or `malformed-hdf5` when the library cannot make sense of it.
    """
    source = store.source
    assert source is not None  # noqa: S101 - it is an HDF5 file
    lengths = source.read(store.base + 8, 7)
    try:
        return h5py.File(GuardedFile(source, lengths[6] if lengths[0] < 2 else lengths[2]), "r")
    except _BROKEN as error:
        kind = "truncated-hdf5" if source.size > store.size else "malformed-hdf5"
        raise UnreadableFile(kind, _reason(error), where=(store.member,) if store.member else ()) from error


def load(store: Store, limits: Limits, seen: list[Observation]) -> None:
    """Walk the tree of an HDF5 file and fill `store.tensors` and the attributes of all groups."""
    file = open_file(store)
    walker = _Walker(store, limits, seen)
    try:
        root = h5o.open(file.id, b"/")
        walker.groups.add(h5o.get_info(root).addr)
        walker.group(root, "", 0)
    except _BROKEN as error:
        seen.append(Observation("malformed-hdf5", f"the tree cannot be read to its end: {_reason(error)}", where=store.member))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())


def _excess(store: Store, owner: Any, attribute: h5a.AttrID) -> str | None:
    """Why an attribute must not be read, None if it may."""
    return None if store.source is None else excess(owner, attribute, store.source, store.base, store.size)


class _Walker:
    def __init__(self, store: Store, limits: Limits, seen: list[Observation]) -> None:
        self.store = store
        self.limits = limits
        self.seen = seen
        self.objects = 0
        self.groups: set[int] = set()
        """Addresses of the groups visited."""

    def note(self, kind: str, text: str, path: str) -> None:
        self.seen.append(Observation(kind, text, tensor=path, where=self.store.member))

    def group(self, group: h5g.GroupID, path: str, depth: int) -> None:
        if depth > self.limits.hdf5_depth:
            raise LimitExceeded("hdf5_depth", depth, self.limits.hdf5_depth, where=(path,))
        self.store.attributes[path] = dict(self.attributes(group, path))
        try:
            links = self.links(group, path)
        except _BROKEN as error:
            self.note("malformed-hdf5", f"what lies in {path or '/'} cannot be listed to its end: {_reason(error)}", path)
            return
        for name, kind, address in links:
            self.link(group, name, f"{path}/{name}" if path else name, depth, kind, address)

    def links(self, group: h5g.GroupID, path: str) -> list[tuple[str, int, int]]:
        """Name, kind and address of all links of a group, numbers sorted as numbers; the library lists both at once."""
        found: list[tuple[str, int, int]] = []

        def take(name: bytes, info: h5l.LinkInfo) -> None:
            self.objects += 1
            if self.objects > self.limits.hdf5_objects:
                raise LimitExceeded("hdf5_objects", self.objects, self.limits.hdf5_objects, where=(path,))
            found.append((name.decode("utf-8", "surrogateescape"), info.type, info.u))

        group.links.iterate(take, info=True)
        return sorted(found, key=lambda one: natural(one[0]))

    def link(self, group: h5g.GroupID, name: str, path: str, depth: int, kind: int, address: int) -> None:
        raw = name.encode("utf-8", "surrogateescape")
        if kind == h5l.TYPE_EXTERNAL:
            file, target = (one.decode("utf-8", "backslashreplace") for one in group.links.get_val(raw))
            self.note("hdf5-external-link", f"{path} links to {target!r} in another file, {file!r}; it was not followed", path)
        elif kind == h5l.TYPE_SOFT:
            target = group.links.get_val(raw).decode("utf-8", "backslashreplace")
            self.note("hdf5-soft-link", f"{path} is a soft link to {target!r}; it was not followed", path)
        elif kind == h5l.TYPE_HARD:
            try:
                one = h5o.open(group, raw)
            except _BROKEN as error:
                self.note("malformed-hdf5", f"{path} cannot be opened: {_reason(error)}", path)
                return
            if isinstance(one, h5d.DatasetID):
                self.dataset(one, path)
            elif isinstance(one, h5g.GroupID) and address in self.groups:
                self.note("hdf5-link-cycle", f"{path} is a second link to a group that was visited already", path)
            elif isinstance(one, h5g.GroupID):
                self.groups.add(address)
                self.group(one, path, depth + 1)
        else:
            self.note("hdf5-external-link", f"{path} is a link of the user-defined kind {kind}; it was not followed", path)

    def attributes(self, group: h5g.GroupID, path: str) -> Iterator[tuple[str, Any]]:
        """The attributes of a group; one that cannot be read is left out by yielding None for it."""
        names: list[bytes] = []
        try:
            h5a.iterate(group, names.append)  # to open each by its number takes the square of their number
        except _BROKEN:
            names.clear()
        count, most = h5a.get_num_attrs(group), self.limits.hdf5_attributes
        if count > most:
            self.note("limit-exceeded", f"{path or '/'} has {count:,} attributes; the first {most:,} were read", path)
        for index in range(min(count, most)):
            name = f"number {index}"
            try:
                attribute = h5a.open(group, names[index]) if index < len(names) else h5a.open(group, index=index)
                name = attribute.name.decode("utf-8", "surrogateescape")
                problem = _excess(self.store, group, attribute)
                if problem is not None:
                    self.note("malformed-hdf5", f"the attribute {name} of {path or '/'} {problem}", path)
                yield name, None if problem is not None else _value(group, attribute, name)
            except TypeError:  # of a type that numpy has no equal of, or that no version of Keras writes
                yield name, None
            except _BROKEN as error:
                self.note("malformed-hdf5", f"the attribute {name} of {path or '/'} cannot be read: {_reason(error)}", path)
                yield name, None

    def dataset(self, dataset: h5d.DatasetID, path: str) -> None:
        try:
            if dataset.get_space().get_simple_extent_type() == h5s.NULL:
                self.note("malformed-hdf5", f"{path} has neither shape nor values: its dataspace is null", path)
                return
            tensor = self.tensor(dataset, path)
        except (*_BROKEN, TypeError) as error:
            self.note("malformed-hdf5", f"{path} cannot be described: {_reason(error)}", path)
            return
        self.store.tensors[path] = tensor
        end = 0 if tensor.offset is None else tensor.offset - self.store.start + (tensor.nbytes or 0)
        if end > self.store.size:
            self.seen.append(
                Observation("truncated-hdf5", f"{path} ends {end - self.store.size:,} bytes past the end of the file", tensor=path)
            )

    def tensor(self, dataset: h5d.DatasetID, path: str) -> StoredTensor:
        shape = tuple(int(size) for size in dataset.shape)
        plist = dataset.get_create_plist()
        layout = plist.get_layout()
        stored = int(dataset.get_storage_size())
        dtype, itemsize, native = _dtype(dataset, self.store)
        offset = dataset.get_offset() if layout == h5d.CONTIGUOUS else None
        if plist.get_external_count():
            name = plist.get_external(0)[0].decode("utf-8", "backslashreplace")
            self.note("hdf5-external-storage", f"{path} keeps its values in another file, {name!r}; it was not opened", path)
            offset = None
        elif layout == h5d.VIRTUAL:
            self.note("hdf5-virtual-dataset", f"{path} is a virtual dataset: its values lie in other datasets or files", path)
        elif dtype in ("object", "string") and path.rsplit("/", 1)[-1].removesuffix(":0").isdecimal():
            self.note("hdf5-object-dtype", f"{path} holds {dtype} elements where weights belong", path)
        for index in range(plist.get_nfilters()):
            number = plist.get_filter(index)[0]
            if number >= _PLUGIN_FILTERS and not h5z.filter_avail(number):
                self.note("hdf5-plugin-filter", f"{path} needs the filter plugin {number}, which is no part of HDF5", path)
        place = None if offset is None else self.store.start + offset
        kind = kind_of(path.replace("\\", "/"))
        tensor = StoredTensor(path, shape, dtype, stored, self.store.beside, place, kind)
        declared = tensor.elements * itemsize
        if declared > GIB and declared > max(stored, 1) * self.limits.inflate_ratio:
            self.note("hdf5-extent", f"{path} declares {declared:,} bytes and stores {stored:,}", path)
        raw = layout == h5d.CONTIGUOUS and native and not plist.get_external_count()
        return tensor if raw else _encoded(tensor)


def _value(group: h5g.GroupID, attribute: h5a.AttrID, name: str) -> Any:
    """The value of an attribute as h5py gives it; a text or texts of one length, what all of Keras' are, without h5py's detour of 80 µs."""
    dtype, shape = attribute.dtype, attribute.shape
    if shape is not None and (dtype.kind == "S" or (shape == () and dtype.kind == "O" and h5t.check_string_dtype(dtype) is not None)):
        texts = np.empty(shape, dtype)
        attribute.read(texts)
        value = texts[()]
        return value.decode("utf-8", "surrogateescape") if dtype.kind == "O" and isinstance(value, bytes) else value
    if isinstance(attribute.get_type(), h5t.TypeVlenID):  # a broken one ends the process in the library (HDF5 1.14, h5py 3.14)
        raise TypeError(f"{name} holds sequences of variable length")
    return h5py.Group(group).attrs[name]


def _encoded(tensor: StoredTensor) -> StoredTensor:
    from dataclasses import replace

    return replace(tensor, encoding="hdf5")


def _dtype(dataset: h5d.DatasetID, store: Store) -> tuple[str, int, bool]:
    """Canonical name, bytes per element, and whether the elements lie there as little-endian values of that type."""
    if dataset.get_type().equal(h5t.IEEE_F32LE):  # nearly all; numpy's type takes 20 µs to make
        return "float32", 4, True
    dtype = dataset.dtype
    if dtype.kind == "V" and dtype.names is None:
        if h5a.exists(dataset, b"dtype"):  # Keras 3 writes bfloat16 and float8 as opaque bytes with this attribute
            problem = _excess(store, dataset, h5a.open(dataset, b"dtype"))
            if problem is not None:
                raise ValueError(f"its attribute dtype {problem}")
            named = h5py.Dataset(dataset).attrs["dtype"]
            text = named.decode() if isinstance(named, bytes) else str(named)
            return text, dtype.itemsize, True
        if dtype.itemsize == 2:  # the HDF5 layout of all versions, and tf-keras' archives, give bfloat16 no name
            return "bfloat16", 2, True
        return f"void{8 * dtype.itemsize}", dtype.itemsize, False
    if dtype.kind in "OSU":
        return ("string" if dtype.kind != "O" or h5py.check_string_dtype(dtype) else "object"), dtype.itemsize, False
    if dtype.names is not None:
        complexes = {("r", "i"): f"complex{8 * dtype.itemsize}"}
        return complexes.get(dtype.names, "object"), dtype.itemsize, dtype.names in complexes
    return _number_type(dtype)


@lru_cache(maxsize=64)
def _number_type(dtype: np.dtype[Any]) -> tuple[str, int, bool]:
    """The same for plain numbers. A model has thousands of tensors of one type, whose name numpy puts together anew each time."""
    return dtype.name, dtype.itemsize, dtype.byteorder in "<|=" and dtype.newbyteorder("<") == dtype
