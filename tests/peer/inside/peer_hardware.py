"""A hardware type of Ironic: its fake one, which may be told to boot from its disk."""

from ironic.drivers import fake_hardware
from ironic.drivers.modules import noop_mgmt


class PeerHardware(fake_hardware.FakeHardware):
    """Power and boot are pretended; images are really fetched and written."""

    @property
    def supported_management_interfaces(self):
        """The one that takes every boot device that a deployment asks for."""
        return [noop_mgmt.NoopManagement]
