"""exposed_services tells by real listeners and their real configuration files who may use a service."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, Optional

import pytest

from tables.host import Host
from tables.host.processes.procfs import Process, Procfs, parse_stat
from tables.network.exposed_services import ExposedService, exposed_services
from tables.reasons.services.auth import JUDGES
from tables.reasons.services.entry_services import entry_services
from tables.schema import QueryContext
from tests.lab.namespaces import bring_up_loopback, end_with_parent, new_network
from tests.lab.programs import IS_SUPPORTED, elf
from tests.support.scans import unseen_by

needs_programs = pytest.mark.skipif(not IS_SUPPORTED, reason="no program to plant for this machine")
ADDRESS = "172.30.0.2"
REDIS = "/usr/bin/redis-server"
JAVA = "/usr/lib/jvm/java-17/bin/java"
PYTHON = "/usr/bin/python3.11"
CONF = "/etc/redis/redis.conf"
KUBELET = "authentication:\n  anonymous:\n    enabled: {}\nauthorization:\n  mode: {}\n"
ELASTIC = "org.elasticsearch.bootstrap.Elasticsearch"
YARN = "org.apache.hadoop.yarn.server.resourcemanager.ResourceManager"
CORE_SITE = "/etc/hadoop/conf/core-site.xml"
XML = "<configuration><property>\n<name>hadoop.security.authentication</name>\n<value>{}</value></property></configuration>"
SPARK = "/opt/spark/conf/spark-defaults.conf"
FLINK = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
NACOS = "/n/conf/application.properties"
CONSUL = "/etc/consul.d/consul.hcl"
NOMAD = "/etc/nomad.d/nomad.hcl"
ZABBIX = "/etc/zabbix/zabbix_agentd.conf"
NEXT = "/app/node_modules/next/package.json"
GRAFANA = "/etc/grafana/grafana.ini"
REGISTRY = "/etc/docker/registry/config.yml"
CLICKHOUSE = "/etc/clickhouse-server/users.xml"
USERS = "<clickhouse><profiles><default/></profiles><users><default>{}</default></users></clickhouse>"
PMA = "/etc/phpmyadmin/config.inc.php"
PMA_KIND = "$cfg['Servers'][$i]['auth_type'] = '{}';\n"
RABBIT = "/etc/rabbitmq/rabbitmq.conf"
JENKINS = '<hudson>\n  <useSecurity>{}</useSecurity>\n  <authorizationStrategy class="hudson.security.{}">\n</hudson>\n'


class Case(NamedTuple):
    """A service: the program, its arguments, its port, its files; and what the row must say of it."""

    argv: list[str]
    port: int
    files: dict[str, str]
    auth_state: str
    reasons: str = ""
    at: str = ""
    env: Optional[dict[str, str]] = None
    cwd: str = "/"


def hba(rule: str) -> dict[str, str]:
    return {
        "/data/pg_hba.conf": f"# TYPE\nlocal all all trust\nhost all all 127.0.0.1/32 trust\nhost all all ::1/128 trust\n{rule}\n"
    }


POSTGRES = ["/usr/lib/postgresql/15/bin/postgres", "-D", "/data"]
CASES = {
    "redis open": Case(
        [REDIS, CONF], 6379, {CONF: "bind *\nprotected-mode no\n"}, "none", "protected_mode_off,no_auth", f"{CONF}:2"
    ),
    "redis title": Case(
        [f"{REDIS} *:6379"], 6379, {CONF: "protected-mode no\n"}, "none", "protected_mode_off,no_auth", f"{CONF}:1"
    ),
    "redis title, unknown file": Case([f"{REDIS} *:6379"], 6379, {}, "unknown"),
    "redis title, file of another port": Case([f"{REDIS} *:6379"], 6379, {CONF: "port 7000\nprotected-mode no\n"}, "unknown"),
    "redis title, file of another address": Case([f"{REDIS} *:6379"], 6379, {CONF: "bind 127.0.0.1\n"}, "unknown"),
    "redis named file is missing": Case([REDIS, CONF], 6379, {}, "unknown"),
    "redis password": Case([REDIS, CONF], 6379, {CONF: "protected-mode no\nrequirepass secret\n"}, "password", "", f"{CONF}:2"),
    "redis empty password": Case(
        [REDIS, CONF], 6379, {CONF: 'protected-mode no\nrequirepass ""\n'}, "none", "protected_mode_off,no_auth", f"{CONF}:1"
    ),
    "redis user without password": Case(
        [REDIS, CONF],
        6379,
        {CONF: "protected-mode no\nuser default on nopass ~* +@all\n"},
        "none",
        "protected_mode_off,no_auth",
        f"{CONF}:1",
    ),
    "redis access list": Case(
        [REDIS, CONF],
        6379,
        {CONF: "protected-mode no\naclfile /etc/redis/users.acl\n", "/etc/redis/users.acl": "user default off\n"},
        "password",
        "",
        "/etc/redis/users.acl:1",
    ),
    "redis include overrides": Case(
        [REDIS, CONF],
        6379,
        {
            CONF: "protected-mode yes\ninclude /etc/redis/b.conf\n",
            "/etc/redis/b.conf": "include /etc/redis/redis.conf\nprotected-mode no\n",
        },
        "none",
        "protected_mode_off,no_auth",
        "/etc/redis/b.conf:2",
    ),
    "redis option overrides": Case([REDIS, CONF, "--requirepass", "s3cret"], 6379, {CONF: "protected-mode no\n"}, "password"),
    "redis protected": Case([REDIS, CONF], 6379, {CONF: "port 6379\n"}, "local_only", "no_auth", CONF),
    "redis protected but bound": Case([REDIS, CONF], 6379, {CONF: "bind 0.0.0.0\n"}, "unknown", "no_auth", f"{CONF}:1"),
    "redis tls": Case([REDIS, CONF], 6380, {CONF: "port 0\ntls-port 6380\nprotected-mode no\n"}, "tls", "", CONF),
    "redis key folder": Case(
        [REDIS, CONF], 6379, {CONF: "requirepass x\ndir /root/.ssh\n"}, "password", "ssh_dir_as_dbdir", f"{CONF}:1"
    ),
    "redis cron folder": Case(
        [REDIS, CONF],
        6379,
        {CONF: "requirepass x\n", "/var/spool/cron/crontabs/root": ""},
        "password",
        "cron_dir_as_dbdir",
        f"{CONF}:1",
        cwd="/var/spool/cron/crontabs",
    ),
    "docker open": Case(["/usr/bin/dockerd", "-H", "tcp://0.0.0.0:2375"], 2375, {}, "none", "no_auth,tls_missing"),
    "docker tls": Case(["/usr/bin/dockerd", "--host=tcp://0.0.0.0:2376", "--tlsverify"], 2376, {}, "tls"),
    "docker tls off": Case(
        ["/usr/bin/dockerd", "-H=tcp://0.0.0.0:2376", "--tlsverify=false"], 2376, {}, "none", "no_auth,tls_missing"
    ),
    "docker daemon.json": Case(
        ["/usr/bin/dockerd"],
        4243,
        {"/etc/docker/daemon.json": '{\n\t"hosts": ["unix:///run/docker.sock",\n\t\t"tcp://0.0.0.0:4243"]\n}'},
        "none",
        "no_auth,tls_missing",
        "/etc/docker/daemon.json:3",
    ),
    "docker daemon.json tls": Case(
        ["/usr/bin/dockerd"],
        2376,
        {"/etc/docker/daemon.json": '{"hosts": ["tcp://0.0.0.0:2376"],\n "tlsverify": true}'},
        "tls",
        "",
        "/etc/docker/daemon.json:2",
    ),
    "docker damaged daemon.json": Case(
        ["/usr/bin/dockerd"], 2375, {"/etc/docker/daemon.json": "{{["}, "unknown", "", "/etc/docker/daemon.json"
    ),
    "kubelet open": Case(
        ["/usr/bin/kubelet", "--config", "/k.yaml"],
        10250,
        {"/k.yaml": KUBELET.format("true", "AlwaysAllow")},
        "none",
        "no_auth,anonymous_auth,always_allow",
        "/k.yaml:3",
    ),
    "kubelet anonymous, judged": Case(
        ["/usr/bin/kubelet", "--config=/k.yaml"],
        10250,
        {"/k.yaml": KUBELET.format("true", "Webhook")},
        "tls",
        "anonymous_auth",
        "/k.yaml:3",
    ),
    "kubelet closed": Case(
        ["/usr/bin/kubelet", "--config=/k.yaml"], 10250, {"/k.yaml": KUBELET.format("false", "Webhook")}, "tls", "", "/k.yaml:3"
    ),
    "kubelet option wins": Case(
        ["/usr/bin/kubelet", "--config=/k.yaml", "--anonymous-auth=false"],
        10250,
        {"/k.yaml": KUBELET.format("true", "AlwaysAllow")},
        "tls",
        "",
        "/k.yaml:3",
    ),
    "kubelet without file": Case(["/usr/bin/kubelet"], 10250, {}, "none", "no_auth,anonymous_auth,always_allow"),
    "kubelet file missing": Case(["/usr/bin/kubelet", "--config=/k.yaml"], 10250, {}, "unknown"),
    "kubelet read-only": Case(["/usr/bin/kubelet"], 10255, {}, "none", "no_auth,read_only_port"),
    "etcd open": Case(["/usr/bin/etcd", "--listen-client-urls=http://0.0.0.0:2379"], 2379, {}, "none", "no_auth,tls_missing"),
    "etcd tls": Case(["/usr/bin/etcd", "--listen-client-urls", "https://0.0.0.0:2379", "--client-cert-auth"], 2379, {}, "tls"),
    "etcd environment": Case(
        ["/usr/bin/etcd"],
        2379,
        {},
        "tls",
        env={"ETCD_LISTEN_CLIENT_URLS": "https://0.0.0.0:2379", "ETCD_CLIENT_CERT_AUTH": "true"},
    ),
    "etcd file": Case(
        ["/usr/bin/etcd", "--config-file=/e.yaml"],
        2379,
        {"/e.yaml": "listen-client-urls: https://0.0.0.0:2379\nclient-transport-security:\n  client-cert-auth: false\n"},
        "none",
        "no_auth",
        "/e.yaml:3",
    ),
    "postgres trust": Case(
        POSTGRES, 5432, hba("host all all 0.0.0.0/0 trust"), "none", "no_auth,trust_from_anywhere", "/data/pg_hba.conf:5"
    ),
    "postgres mask": Case(
        POSTGRES, 5432, hba("host all all 0.0.0.0 0.0.0.0 trust"), "none", "no_auth,trust_from_anywhere", "/data/pg_hba.conf:5"
    ),
    "postgres network": Case(
        POSTGRES, 5432, hba("host all all 10.0.0.0/8 trust"), "password", "trust_from_network", "/data/pg_hba.conf:5"
    ),
    "postgres password": Case(POSTGRES, 5432, hba("host all all all scram-sha-256"), "password", "", "/data/pg_hba.conf:5"),
    "postgres password first": Case(
        POSTGRES, 5432, hba("host all all all scram-sha-256\nhost all all all trust"), "password", "", "/data/pg_hba.conf:5"
    ),
    "postgres refused first": Case(
        POSTGRES,
        5432,
        hba("host all all 0.0.0.0/0 reject\nhost all all 0.0.0.0/0 trust"),
        "local_only",
        "",
        "/data/pg_hba.conf",
    ),
    "postgres refused for the other family": Case(
        POSTGRES,
        5432,
        hba("host all all 0.0.0.0/0 reject\nhost all all ::/0 trust"),
        "none",
        "no_auth,trust_from_anywhere",
        "/data/pg_hba.conf:6",
    ),
    "postgres nobody": Case(POSTGRES, 5432, hba(""), "local_only", "", "/data/pg_hba.conf"),
    "postgres of Debian": Case(
        [POSTGRES[0], "-D", "/data", "-c", "config_file=/etc/postgresql/postgresql.conf"],
        5432,
        {
            "/etc/postgresql/postgresql.conf": "hba_file = '/etc/postgresql/pg_hba.conf'  # here\n",
            "/etc/postgresql/pg_hba.conf": "host all all ::/0 trust\n",
        },
        "none",
        "no_auth,trust_from_anywhere",
        "/etc/postgresql/pg_hba.conf:1",
    ),
    "postgres in a container": Case(
        ["postgres"],
        5432,
        hba("host all all all trust"),
        "none",
        "no_auth,trust_from_anywhere",
        "/data/pg_hba.conf:5",
        cwd="/data",
    ),
    "postgres unreadable": Case(POSTGRES, 5432, {}, "unknown"),
    "mongod open": Case(
        ["/usr/bin/mongod", "--config", "/m.conf"], 27017, {"/m.conf": "net:\n  bindIp: 0.0.0.0\n"}, "none", "no_auth", "/m.conf"
    ),
    "mongod disabled": Case(
        ["/usr/bin/mongod", "-f", "/m.conf"],
        27017,
        {"/m.conf": "security:\n  authorization: disabled\n"},
        "none",
        "no_auth",
        "/m.conf:2",
    ),
    "mongod enabled": Case(
        ["/usr/bin/mongod", "-f", "/m.conf"],
        27017,
        {"/m.conf": "security:\n  authorization: enabled\n"},
        "password",
        "",
        "/m.conf:2",
    ),
    "mongod old file": Case(
        ["/usr/bin/mongod", "-f", "/m.conf"], 27017, {"/m.conf": "port = 27017\nauth = true\n"}, "password", "", "/m.conf:2"
    ),
    "mongod option": Case(["/usr/bin/mongod", "--auth", "--bind_ip_all"], 27017, {}, "password"),
    "elasticsearch off": Case(
        [JAVA, "-Des.path.conf=/es", ELASTIC],
        9200,
        {"/es/elasticsearch.yml": "network.host: 0.0.0.0\nxpack.security.enabled: false\n"},
        "none",
        "no_auth",
        "/es/elasticsearch.yml:2",
    ),
    "elasticsearch on": Case(
        [JAVA, "-Des.path.conf=/es", ELASTIC],
        9200,
        {"/es/elasticsearch.yml": "xpack:\n  security:\n    enabled: true\n"},
        "password",
        "",
        "/es/elasticsearch.yml:3",
    ),
    "elasticsearch 7": Case(
        [JAVA, "-cp", "/lib/elasticsearch-7.17.9.jar", "-Des.path.conf=/es", ELASTIC],
        9200,
        {"/es/elasticsearch.yml": "network.host: 0.0.0.0\n"},
        "none",
        "no_auth",
        "/es/elasticsearch.yml",
    ),
    "opensearch off": Case(
        [JAVA, "org.opensearch.bootstrap.OpenSearch"], 9200, {}, "none", "no_auth", env={"DISABLE_SECURITY_PLUGIN": "true"}
    ),
    "jupyter open": Case(
        [PYTHON, "/usr/bin/jupyter-lab", "--NotebookApp.token=''"], 8888, {}, "none", "no_auth,token_disabled,runs_as_root"
    ),
    "jupyter token": Case([PYTHON, "/usr/bin/jupyter-lab", "--ServerApp.token=abc"], 8888, {}, "password", "runs_as_root"),
    "jupyter default": Case([PYTHON, "-m", "jupyterlab"], 8888, {}, "password", "runs_as_root"),
    "jupyter file": Case(
        [PYTHON, "/usr/bin/jupyter-notebook"],
        8888,
        {"/home/u/.jupyter/jupyter_notebook_config.py": "# c.x\nc.NotebookApp.token = u''\n"},
        "none",
        "no_auth,token_disabled,runs_as_root",
        "/home/u/.jupyter/jupyter_notebook_config.py:2",
        env={"HOME": "/home/u"},
    ),
    "jupyter json and password": Case(
        [PYTHON, "/usr/bin/jupyter-notebook"],
        8888,
        {"/home/u/.jupyter/jupyter_server_config.json": '{"IdentityProvider": {"token": "", "hashed_password": "argon2:x"}}'},
        "password",
        "runs_as_root",
        "/home/u/.jupyter/jupyter_server_config.json:1",
        env={"HOME": "/home/u"},
    ),
    "jenkins off": Case(
        [JAVA, "-jar", "/opt/jenkins.war"],
        8080,
        {"/var/lib/jenkins/config.xml": JENKINS.format("false", "X")},
        "none",
        "no_auth",
        "/var/lib/jenkins/config.xml:2",
    ),
    "jenkins everybody": Case(
        [JAVA, "-DJENKINS_HOME=/j", "-jar", "/opt/jenkins.war"],
        8080,
        {"/j/config.xml": JENKINS.format("true", "AuthorizationStrategy$Unsecured")},
        "none",
        "no_auth",
        "/j/config.xml:3",
    ),
    "jenkins on": Case(
        [JAVA, "-DJENKINS_HOME=/j", "-jar", "/opt/jenkins.war"],
        8080,
        {"/j/config.xml": JENKINS.format("true", "FullControlOnceLoggedIn")},
        "password",
        "",
        "/j/config.xml:2",
    ),
    "mysql": Case(["/usr/sbin/mysqld"], 3306, {}, "unknown"),
    "mysql without grants": Case(["/usr/sbin/mysqld", "--skip-grant-tables"], 3306, {}, "none", "no_auth"),
    "ray": Case([PYTHON, "-u", "/usr/lib/python3/ray/dashboard/dashboard.py", "--host=0.0.0.0"], 8265, {}, "none", "no_auth"),
    "selenium with user": Case(
        [JAVA, "-jar", "/opt/selenium-server-4.16.jar", "standalone", "--username", "u"], 4444, {}, "password"
    ),
    "yarn": Case([JAVA, YARN], 8088, {}, "unknown"),
    "yarn open": Case([JAVA, YARN], 8088, {CORE_SITE: XML.format("simple")}, "none", "no_auth", CORE_SITE),
    "yarn kerberos": Case([JAVA, YARN], 8088, {CORE_SITE: XML.format("kerberos")}, "password", "", CORE_SITE),
    "spark": Case([JAVA, "org.apache.spark.deploy.master.Master"], 7077, {}, "none", "no_auth"),
    "spark secret": Case(
        [JAVA, "org.apache.spark.deploy.master.Master"],
        7077,
        {SPARK: "\nspark.authenticate true\n"},
        "password",
        "",
        f"{SPARK}:2",
    ),
    "spark rest": Case([JAVA, "org.apache.spark.deploy.rest.X"], 6066, {SPARK: "spark.authenticate true\n"}, "none", "no_auth"),
    "flink": Case([JAVA, FLINK, "--configDir", "/opt/flink/conf"], 8081, {}, "none", "no_auth"),
    "flink 2 certificates": Case(
        [JAVA, FLINK, "--configDir", "/opt/flink/conf"],
        8081,
        {"/opt/flink/conf/config.yaml": "security:\n  ssl:\n    rest:\n      authentication-enabled: true\n"},
        "tls",
        "",
        "/opt/flink/conf/config.yaml:4",
    ),
    "flink certificates": Case(
        [JAVA, FLINK],
        8081,
        {"/opt/flink/conf/flink-conf.yaml": "security.ssl.rest.authentication-enabled: true\n"},
        "tls",
        "",
        "/opt/flink/conf/flink-conf.yaml:1",
    ),
    "nacos": Case([JAVA, "-Dnacos.home=/n", "-jar", "/n/target/nacos-server.jar"], 8848, {}, "none", "no_auth"),
    "nacos auth": Case([JAVA, "-Dnacos.home=/n"], 8848, {NACOS: "nacos.core.auth.enabled=true\n"}, "password", "", f"{NACOS}:1"),
    "nacos in docker": Case(
        [JAVA, "-Dnacos.home=/n"],
        8848,
        {NACOS: "nacos.core.auth.enabled=${NACOS_AUTH_ENABLE:false}\n"},
        "password",
        "",
        f"{NACOS}:1",
        env={"NACOS_AUTH_ENABLE": "true"},
    ),
    "consul": Case(["/usr/bin/consul", "agent"], 8500, {CONSUL: 'data_dir = "/d"\n'}, "none", "no_auth", CONSUL),
    "consul dev": Case(["/usr/bin/consul", "agent", "-dev"], 8500, {}, "none", "no_auth"),
    "consul acl": Case(
        ["/usr/bin/consul", "agent", "-config-dir=/etc/consul.d"],
        8500,
        {CONSUL: 'x = 1\nacl = {\n  enabled = true\n  default_policy = "deny"\n}\n'},
        "password",
        "",
        f"{CONSUL}:2",
    ),
    "nomad": Case(["/usr/bin/nomad", "agent"], 4646, {}, "unknown"),
    "nomad acl": Case(
        ["/usr/bin/nomad", "agent", "-config", NOMAD],
        4646,
        {NOMAD: "acl {\n enabled = true\n}\n"},
        "password",
        "",
        f"{NOMAD}:1",
    ),
    "zabbix runs commands for all": Case(
        ["/usr/sbin/zabbix_agentd"],
        10050,
        {ZABBIX: "Server=0.0.0.0/0\nAllowKey=system.run[*]\n"},
        "none",
        "no_auth",
        f"{ZABBIX}:2",
    ),
    "zabbix of one server": Case(
        ["/usr/sbin/zabbix_agentd", "-c", ZABBIX],
        10050,
        {ZABBIX: "Server=10.0.0.4\nEnableRemoteCommands=1\n"},
        "local_only",
        "",
        ZABBIX,
    ),
    "ollama": Case(["/usr/local/bin/ollama", "serve"], 11434, {}, "none", "no_auth"),
    "vllm": Case([PYTHON, "-m", "vllm.entrypoints.openai.api_server", "--model", "x"], 8000, {}, "none", "no_auth"),
    "vllm key": Case([PYTHON, "/usr/bin/vllm", "serve", "x", "--api-key", "k"], 8000, {}, "password"),
    "vllm key in its environment": Case([PYTHON, "/usr/bin/vllm", "serve", "x"], 8000, {}, "password", env={"VLLM_API_KEY": "k"}),
    "llama.cpp": Case(["/opt/llama-server", "-m", "/m.gguf", "--host", "0.0.0.0"], 8080, {}, "none", "no_auth"),
    "triton": Case(["/opt/tritonserver/bin/tritonserver", "--model-repository=/m"], 8000, {}, "none", "no_auth"),
    "mlflow": Case([PYTHON, "/usr/bin/mlflow", "server", "--host", "0.0.0.0"], 5000, {}, "none", "no_auth"),
    "mlflow users": Case([PYTHON, "/usr/bin/mlflow", "server", "--app-name", "basic-auth"], 5000, {}, "password"),
    "langflow": Case([PYTHON, "/usr/bin/langflow", "run"], 7860, {}, "none", "no_auth"),
    "langflow login": Case([PYTHON, "/usr/bin/langflow", "run"], 7860, {}, "password", env={"LANGFLOW_AUTO_LOGIN": "False"}),
    "n8n": Case(["/usr/bin/node", "/usr/bin/n8n", "start"], 5678, {}, "password"),
    "n8n without users": Case(
        ["/usr/bin/node", "/usr/bin/n8n"], 5678, {}, "none", "no_auth", env={"N8N_USER_MANAGEMENT_DISABLED": "true"}
    ),
    "next.js before the patch": Case(
        ["/usr/bin/node", "/app/node_modules/.bin/next", "start"],
        3000,
        {NEXT: '{"version": "15.1.8"}'},
        "unknown",
        "vulnerable_version",
        NEXT,
        cwd="/app",
    ),
    "next.js patched": Case(
        ["/usr/bin/node", "node_modules/next/dist/bin/next", "start"],
        3000,
        {NEXT: '{"version": "15.1.9"}'},
        "unknown",
        "",
        NEXT,
        cwd="/app",
    ),
    "next.js of an older line": Case(["/usr/bin/node next-server (v14.2.5)"], 3000, {}, "unknown"),
    "next.js by its title": Case(["/usr/bin/node next-server (v16.0.6)"], 3000, {}, "unknown", "vulnerable_version"),
    "comfyui": Case([PYTHON, "main.py", "--listen"], 8188, {"/c/comfy/cli_args.py": ""}, "none", "no_auth", cwd="/c"),
    "grafana": Case(["/usr/sbin/grafana-server"], 3000, {GRAFANA: "[auth.anonymous]\nenabled = false\n"}, "password"),
    "grafana for all": Case(
        ["/usr/sbin/grafana-server"],
        3000,
        {GRAFANA: "[auth]\nenabled = false\n[auth.anonymous]\nenabled = true\norg_role = Admin\n[x]\n"},
        "none",
        "no_auth",
        GRAFANA,
    ),
    "registry": Case(
        ["/bin/registry", "serve", REGISTRY], 5000, {REGISTRY: "http:\n  addr: :5000\n"}, "none", "no_auth", REGISTRY
    ),
    "registry auth": Case(
        ["/bin/registry", "serve", REGISTRY],
        5000,
        {REGISTRY: "auth:\n  htpasswd:\n    realm: x\n"},
        "password",
        "",
        f"{REGISTRY}:3",
    ),
    "minio": Case(["/usr/bin/minio", "server", "/data"], 9000, {}, "none", "no_auth,default_password"),
    "minio password": Case(
        ["/usr/bin/minio", "server", "/data"], 9000, {}, "password", env={"MINIO_ROOT_PASSWORD": "long-enough"}
    ),
    "clickhouse": Case(
        ["/usr/bin/clickhouse-server"],
        8123,
        {CLICKHOUSE: USERS.format("<password></password>")},
        "none",
        "no_auth",
        CLICKHOUSE,
    ),
    "clickhouse password": Case(
        ["/usr/bin/clickhouse-server"],
        9000,
        {CLICKHOUSE: USERS.format("<password_sha256_hex>a1</password_sha256_hex>")},
        "password",
        "",
        CLICKHOUSE,
    ),
    "rabbitmq": Case(["/usr/lib/erlang/beam.smp", "-s", "rabbit", "boot"], 5672, {}, "password"),
    "rabbitmq guest": Case(
        ["/usr/lib/erlang/beam.smp", "-s", "rabbit", "boot"],
        15672,
        {RABBIT: "loopback_users = none\n"},
        "none",
        "no_auth,default_password",
        f"{RABBIT}:1",
    ),
    "argo": Case(["/bin/argo", "server", "--auth-mode=server"], 2746, {}, "none", "no_auth"),
    "argo of clients": Case(["/bin/argo", "server"], 2746, {}, "password"),
    "kubeflow": Case(["/bin/apiserver", "--config=/config", "--sampleconfig=/config/s.json"], 8888, {}, "none", "no_auth"),
    "kubeflow of many users": Case(["/bin/apiserver", "--config=/config"], 8888, {}, "password", env={"MULTIUSER": "true"}),
    "argo cd": Case(["/bin/argocd-server", "--disable-auth"], 8080, {}, "none", "no_auth"),
    "xmrig's own": Case(["/opt/xmrig", "--http-port=8080", "--http-host=0.0.0.0"], 8080, {}, "none", "no_auth"),
    "xmrig's own with a token": Case(["/opt/xmrig", "--http-port=8080", "--http-access-token=t"], 8080, {}, "password"),
    "phpmyadmin that logs in": Case(
        ["/usr/sbin/apache2", "-k", "start"],
        80,
        {
            "/usr/share/phpmyadmin/themes/x": "",
            PMA: "<?php\n// $cfg['Servers'][$i]['auth_type'] = 'cookie';\n" + PMA_KIND.format("config"),
        },
        "none",
        "no_auth",
        f"{PMA}:3",
    ),
    "phpmyadmin": Case(
        ["/usr/sbin/nginx"], 443, {"/usr/share/phpmyadmin/themes/x": "", PMA: PMA_KIND.format("cookie")}, "password", "", PMA
    ),
    "gitlab": Case(["/opt/gitlab/bin/gitlab-workhorse"], 8181, {}, "unknown"),
}
# Listeners that are no service's front door, and programs that are no such service.
SILENT = {
    "dockerd's swarm port": Case(["/usr/bin/dockerd", "-H", "fd://"], 2377, {}, ""),
    "etcd's peers": Case(["/usr/bin/etcd", "--listen-client-urls=https://0.0.0.0:2379"], 2380, {}, ""),
    "kubelet's other port": Case(["/usr/bin/kubelet"], 10248, {}, ""),
    "elasticsearch's transport": Case([JAVA, ELASTIC], 9300, {"/etc/elasticsearch/elasticsearch.yml": ""}, ""),
    "a web server on redis's port": Case(["/usr/sbin/nginx"], 6379, {}, ""),
    "a client that is named in arguments": Case([PYTHON, "/opt/check.py", "redis-server", "jupyter-lab"], 8888, {}, ""),
    "another program's main.py": Case([PYTHON, "main.py", "--listen"], 8188, {"/c/main.py": ""}, "", cwd="/c"),
    "grafana's peers": Case(["/usr/sbin/grafana-server"], 9094, {}, ""),
    "another Java program": Case([JAVA, "-jar", "/opt/shop.war"], 8080, {}, ""),
    "a notebook's kernel": Case(
        [PYTHON, "-m", "ipykernel_launcher", "-f", "/root/.local/share/jupyter/kernel.json"], 8888, {}, ""
    ),
}


class Servers:
    """Starts a case's program in a root folder and a network namespace of its own, holding its listener."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.started: list[subprocess.Popen[bytes]] = []

    def start(self, case: Case, address: str = "0.0.0.0") -> int:
        program = case.argv[0].split(" ")[0] if case.argv[0].startswith("/") else f"/usr/bin/{case.argv[0]}"
        for path, content in {program: elf(), **{name: text.encode() for name, text in case.files.items()}}.items():
            target = self.root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content)
            target.chmod(0o755 if path == program else 0o600)

        def prepare() -> None:
            end_with_parent()
            new_network()
            bring_up_loopback(ADDRESS)
            os.set_inheritable(socket.create_server((address, case.port)).detach(), True)
            os.chroot(self.root)
            os.chdir(case.cwd)

        process = subprocess.Popen(
            case.argv, executable=program, preexec_fn=prepare, close_fds=False, env=case.env or {"HOME": "/root"}, cwd="/"
        )
        self.started.append(process)
        return process.pid

    def clean(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()


@pytest.fixture
def servers(quiet: Path) -> Iterator[Servers]:
    found = Servers(quiet)
    yield found
    found.clean()


def rows_of(pid: int, host: Optional[Host] = None) -> list[ExposedService]:
    return [row for row in exposed_services.generate(host or Host(), QueryContext()) if row.pid == pid]


@needs_programs
@pytest.mark.root
@pytest.mark.parametrize("name", CASES)
def test_who_may_use_a_service(servers: Servers, name: str) -> None:
    case = CASES[name]
    (row,) = rows_of(servers.start(case))
    assert (row.auth_state, row.reasons) == (case.auth_state, case.reasons), row.evidence
    where = ":".join(str(part) for part in (row.config_path, row.config_line) if part is not None)
    assert where == case.at
    assert (row.address, row.port, row.is_wildcard, row.reach) == ("0.0.0.0", case.port, True, "namespace")
    assert row.evidence and row.exe_path


@needs_programs
@pytest.mark.root
@pytest.mark.parametrize("name", SILENT)
def test_what_is_no_front_door_gives_no_row(servers: Servers, name: str) -> None:
    assert rows_of(servers.start(SILENT[name])) == []


@needs_programs
@pytest.mark.root
def test_a_listener_on_loopback_is_not_exposed(servers: Servers) -> None:
    assert rows_of(servers.start(CASES["redis open"], "127.0.0.1")) == []


@needs_programs
@pytest.mark.root
def test_an_address_of_an_interface_is_exposed(servers: Servers) -> None:
    (row,) = rows_of(servers.start(CASES["redis open"], ADDRESS))
    assert (row.address, row.is_wildcard) == (ADDRESS, False)


@needs_programs
@pytest.mark.root
def test_no_secret_reaches_a_row(servers: Servers) -> None:
    case = CASES["redis option overrides"]
    (row,) = rows_of(servers.start(case))
    assert "s3cret" not in repr(row)
    assert row.cmdline == f"{REDIS} {CONF} --requirepass ***"


@needs_programs
@pytest.mark.root
def test_a_link_is_followed_inside_the_services_root(servers: Servers) -> None:
    """An absolute link of a container must not lead to the host's own file."""
    case = Case([REDIS, "/etc/redis/link.conf"], 6379, {"/srv/real.conf": "protected-mode no\n"}, "none")
    link = servers.root / "etc/redis/link.conf"
    link.parent.mkdir(parents=True)
    link.symlink_to("/srv/real.conf")
    (row,) = rows_of(servers.start(case))
    assert (row.auth_state, row.config_path) == ("none", "/etc/redis/link.conf")


@needs_programs
@pytest.mark.root
def test_an_unreadable_configuration_is_said_so(servers: Servers) -> None:
    os.makedirs(servers.root / "etc/redis")
    os.mkfifo(servers.root / "etc/redis/redis.conf")
    host = Host()
    pid = servers.start(Case([REDIS, CONF], 6379, {}, "unknown"))
    (row,) = rows_of(pid, host)
    assert row.auth_state == "unknown"
    assert f"pid {pid} (redis): {CONF} could not be read" in unseen_by(exposed_services, host)


def test_a_mounted_disk_has_no_listeners(tmp_path: Path) -> None:
    host = Host(str(tmp_path))
    assert list(exposed_services.generate(host, QueryContext())) == []
    assert unseen_by(exposed_services, host)


def test_every_judge_is_of_a_service_and_every_service_has_a_source() -> None:
    assert {entry.judge for entry in entry_services().entries} - {None} == JUDGES.keys()
    names = [entry.service for entry in entry_services().entries]
    assert len(names) == len(set(names))


@pytest.mark.parametrize(
    ("comm", "cmdline", "service"),
    [
        ("python3", "/usr/bin/python3 /usr/bin/salt-master MainProcess", "salt_master"),
        ("java", "java -Dweblogic.Name=AdminServer weblogic.Server", "weblogic"),
        ("java", "java -Dcatalina.base=/opt/atlassian/confluence org.apache.catalina.startup.Bootstrap start", "confluence"),
        ("java", "java -server -Dsolr.install.dir=/opt/solr -jar start.jar", "solr"),
        ("java", "java -Dactivemq.home=/opt/activemq -jar activemq.jar start", "activemq"),
        ("java", "java org.apache.spark.deploy.master.Master --host 0.0.0.0", "spark"),
        ("consul", "consul agent -server", "consul"),
        ("python3", "/usr/bin/python3 /usr/bin/airflow webserver", "airflow"),
        ("java", "java -Dcatalina.base=/opt/tomcat org.apache.catalina.startup.Bootstrap start", None),
        ("python3", "/usr/bin/python3 /usr/bin/salt-minion", None),
        ("consul", "consul members", None),
    ],
)
def test_what_a_command_line_is(comm: str, cmdline: str, service: Optional[str]) -> None:
    found = next((entry.service for entry in entry_services().entries if entry.is_run_by(comm, cmdline)), None)
    assert found == service


def test_a_hostile_command_line_takes_no_long_time() -> None:
    for part in ("-Dcatalina.home=", "/jupyter -", "a -b ", "-- - "):
        for program in ("java", "python3"):
            assert not all(entry.is_run_by(program, part * 100_000) for entry in entry_services().entries)


def test_process_without_executable_is_known_by_its_name() -> None:
    stat = parse_stat(b"999999 (redis-server) S 1 1 1 0 -1 4194560 0 0 0 0 0 0 0 0 20 0 1 0 100 0 0")
    found = entry_services().of_process(Process(Procfs.open(), stat))
    assert found is not None and found.service == "redis"
