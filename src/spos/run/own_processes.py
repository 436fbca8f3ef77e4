"""Where the processes of one machine meet that spos starts itself."""

from __future__ import annotations

from lightning_fabric.plugins.environments.lightning import (
    LightningEnvironment,
    find_free_network_port,
)


class OwnProcesses(LightningEnvironment):
    """Processes of this machine alone, whatever the environment says of others.

    In a job of Slurm, under torchrun and in containers of a cluster, variables such as
    ``MASTER_ADDR``, ``SLURM_NTASKS`` or ``NODE_RANK`` describe processes that somebody else starts.
    """

    creates_processes_externally = False
    main_address = "127.0.0.1"

    @property
    def main_port(self) -> int:
        # Asked first before the processes are started, which get a copy.
        if self._main_port == -1:
            self._main_port = find_free_network_port()
        return self._main_port

    def node_rank(self) -> int:
        return 0
