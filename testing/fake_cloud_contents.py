"""What there is to choose from in the cloud in memory: the same as on a small real one."""

from __future__ import annotations

from client.launcher.cloud import Account, Flavor, Image, Keypair, Network, Quota

ACCOUNT = Account("demo", "project-1", "alice", "cloud.example", "RegionOne")
IMAGES = (Image("image-1", "debian-12", "active", properties={"os_distro": "debian"}),)
FLAVORS = (
    Flavor("flavor-1", "m1.tiny", 1, 512, 1),
    Flavor("flavor-2", "m1.small", 1, 1024, 10),
    Flavor("flavor-3", "m1.medium", 2, 2048, 20),
    Flavor("flavor-4", "m1.large", 2, 4096, 40),
)
NETWORKS = (
    Network("network-1", "private", is_external=False),
    Network("network-2", "public", is_external=True),
)
PUBLIC_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
KEYPAIRS = (Keypair("laptop", "laptop", f"{PUBLIC_KEY} Generated-by-Nova\n"),)
QUOTA = Quota(instances=10, cores=20, memory_mb=51200, floating_addresses=10, security_groups=10)
POOL = tuple(f"203.0.113.{last}" for last in range(10, 30))
