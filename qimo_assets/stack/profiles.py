"""What the embedded stack is made of: one of each, with or without YARN, or a small cluster whose
doors are locked. Data keeps its profile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

USUAL_PORTS = {
    "kafka": 9092,
    "kafka_controller": 9093,
    "namenode": 8020,
    "namenode_http": 9870,
    "datanode": 9866,
    "datanode_http": 9864,
    "datanode_ipc": 9867,
    "metastore": 9083,
    "hive": 10000,
    "mysql": 3306,
    "dagster": 3000,
    "dagster_code": 4000,
    "report": 8088,
}
# With the offsets of the stack, its tests and its benchmarks these stay apart from each other and
# below the ports of outgoing connections.
CLUSTER_PORTS = {
    **USUAL_PORTS,
    "kafka_internal": 9091,
    "kafka_2": 9192,
    "kafka_2_controller": 9193,
    "kafka_2_internal": 9191,
    "kafka_3": 9292,
    "kafka_3_controller": 9293,
    "kafka_3_internal": 9291,
    "datanode_2": 9966,
    "datanode_2_http": 9964,
    "datanode_2_ipc": 9967,
    "spark_master": 7077,
    "spark_master_http": 8080,
    "spark_worker": 7078,
    "spark_worker_http": 8081,
    "spark_worker_2": 7178,
    "spark_worker_2_http": 8181,
}
# The resource manager's usual port for HTTP is the report's; it takes the one that it has for
# HTTPS, and the node manager a number where it has none.
YARN_PORTS = {
    **USUAL_PORTS,
    "resourcemanager": 8032,
    "resourcemanager_scheduler": 8030,
    "resourcemanager_tracker": 8031,
    "resourcemanager_admin": 8033,
    "resourcemanager_http": 8090,
    "nodemanager": 8041,
    "nodemanager_localizer": 8040,
    "nodemanager_http": 8042,
}


@dataclass(frozen=True)
class Profile:
    """A composition of the stack.

    Attributes:
        name: What `up --profile` calls it.
        brokers: Kafka's brokers, by the names of their services; each is a controller as well.
        data_nodes: The data nodes of HDFS, likewise; each block is on all of them.
        spark_workers: The workers of Spark's own cluster, likewise.
        node_managers: The node managers of YARN, likewise.
        secured: Whether Kafka and MariaDB take TLS alone, Kafka with a password or a certificate.
        ports: The name of each port -> its usual number; a service's ports begin with its name.
    """

    name: str
    brokers: tuple[str, ...]
    data_nodes: tuple[str, ...]
    spark_workers: tuple[str, ...]
    node_managers: tuple[str, ...]
    secured: bool
    ports: Mapping[str, int]

    @property
    def most_brokers(self) -> int:
        """How many brokers have to hold a line before it is acknowledged: of three one
        may be away.
        """
        return len(self.brokers) // 2 + 1

    @property
    def executor_hosts(self) -> tuple[str, ...]:
        """The services that start Spark's executors; without any, Spark's drivers do the work
        themselves.
        """
        return self.spark_workers + self.node_managers


SINGLE = Profile(
    "single",
    brokers=("kafka",),
    data_nodes=("datanode",),
    spark_workers=(),
    node_managers=(),
    secured=False,
    ports=USUAL_PORTS,
)
YARN = replace(SINGLE, name="yarn", node_managers=("nodemanager",), ports=YARN_PORTS)
CLUSTER = Profile(
    "cluster",
    brokers=("kafka", "kafka-2", "kafka-3"),
    data_nodes=("datanode", "datanode-2"),
    spark_workers=("spark-worker", "spark-worker-2"),
    node_managers=(),
    secured=True,
    ports=CLUSTER_PORTS,
)
PROFILES = {profile.name: profile for profile in (SINGLE, CLUSTER, YARN)}


def port_name(service: str, kind: str = "") -> str:
    """Return the name of a service's port; the one for its clients is of no kind."""
    return "_".join([service.replace("-", "_"), *filter(None, [kind])])
