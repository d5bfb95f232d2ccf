"""What a client submits: pack it, unpack it, read it in every form. Pure: bytes in, bytes out.

What comes in is untrusted. Every rule is checked before what it guards is used, sizes are counted
while reading, and every refusal is an error that names the member, the rule and the remedy.
"""

from qtrl_spool.bundle.forms import FORMAT, Bundle, from_members, from_text, job_name, pack, unpack
from qtrl_spool.bundle.limits import Limits
from qtrl_spool.bundle.manifest import Manifest
from qtrl_spool.bundle.patchtext import dump_patch

__all__ = [
    "FORMAT",
    "Bundle",
    "Limits",
    "Manifest",
    "dump_patch",
    "from_members",
    "from_text",
    "job_name",
    "pack",
    "unpack",
]
