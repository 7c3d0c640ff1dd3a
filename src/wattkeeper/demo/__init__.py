"""`wattkeeper demo`: a simulated district in a process of its own, and the product reading it.

Nothing here is special-cased for the demo below this package: the meters answer over sockets and a pty, their past comes
as a file like any predecessor's, and master data, readings and bills go the way that anyone's would.
"""

from wattkeeper.demo.masterdata import PORTAL_CUSTOMER
from wattkeeper.demo.run import Demo

__all__ = ["PORTAL_CUSTOMER", "Demo"]
