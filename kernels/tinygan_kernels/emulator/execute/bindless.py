"""What texture and surface instructions share: objects by their handles, bytes by their addresses, faults.

Reads and writes go to the sanitizer as those of global memory do.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tinygan_kernels.emulator.errors import EmulatorError
from tinygan_kernels.emulator.translate.kernel import Site

from .access import Access, subset
from .lanes import Lanes
from .memory import Memory
from .texture_objects import Kind, named_by


def objects(access: Access, site: Site, handle: np.ndarray, kind: type[Kind], lanes: Lanes) -> Iterator[tuple[Kind, Lanes]]:
    """Yield (object, lanes) for the lanes of each handle; report handles that name no object of the kind, and freed arrays."""
    if lanes.count == 0:
        return
    handles = lanes.pick(np.asarray(handle))
    for value in [int(handles[0])] if (handles == handles[0]).all() else np.unique(handles).tolist():
        chosen = handles == value
        some = lanes if chosen.all() else subset(lanes, chosen)
        found = named_by(value, kind)
        if isinstance(found, str):
            fault(access, site, found, some)
        elif found.resource.freed:
            fault(access, site, f"{kind.what} access to {found.resource.name}, which was freed at {found.resource.freed}", some)
        else:
            yield found, some


def fault(access: Access, site: Site, text: str, lanes: Lanes) -> None:
    """Report lanes whose access cannot be carried out. With the checks off, raise at once."""
    access.report.add("memcheck", text, site, access.machine, int(lanes.index[0]), count=lanes.count)
    if not access.check:
        access.report.deliver()
        raise EmulatorError("the kernel made an illegal texture or surface access")


def pieces(access: Access, site: Site, address: np.ndarray, lanes: Lanes) -> Iterator[tuple[Memory, np.ndarray, Lanes, np.ndarray]]:
    """Yield (memory, positions, lanes, mask over the given lanes) for addresses, one a lane in lane order, in global memory."""
    if lanes.count == 0:
        return
    for memory, positions, chosen in access.spaces["global"].locate(address, site.bytes, lanes):
        mask = np.ones(lanes.count, bool) if chosen is None else chosen
        some = lanes if chosen is None else subset(lanes, chosen)
        if memory is None:
            access.fault(site, "global", "out-of-bounds", positions, some, "ld")
        else:
            yield memory, positions, some, mask
