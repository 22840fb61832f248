"""Keys of docker-compose's services, and what a container has instead."""

from __future__ import annotations

_ORDER = "services start together; what must be done before belongs in `onboot`, in its order"
_NO_LIMIT = "limits are in `resources`, such as resources: {memory: {limit: 268435456}}"

COMPOSE_KEYS = {
    "build": '`image: "@pkg:DIRECTORY"` names the image of a package, and builds it',
    "cap_drop": "`capabilities` lists those that the container has; all others are dropped",
    "configs": "files of the image are in the section `files`; add them with `binds`",
    "container_name": "the name is `name`",
    "depends_on": _ORDER,
    "deploy": _NO_LIMIT,
    "dns": 'the system\'s /etc/resolv.conf: binds: ["/etc/resolv.conf:/etc/resolv.conf"]',
    "domainname": "write hostname: NAME.DOMAIN",
    "entrypoint": "write the whole command line as a list: command: [/bin/server, --port=80]",
    "cmd": "write the whole command line as a list: command: [/bin/server, --port=80]",
    "args": "write the whole command line as a list: command: [/bin/server, --port=80]",
    "env_file": "write the variables: env: [NAME=value]",
    "environment": "write env: [NAME=value]",
    "extra_hosts": "add /etc/hosts to the section `files`, and bind it with `binds`",
    "healthcheck": "there are no health checks; `dolmen run qemu --wait-port` waits for a port",
    "init": "leave it out, or set `pid: host`",
    "ipc_mode": "write ipc: host",
    "labels": "write annotations: {NAME: value}",
    "links": _ORDER,
    "logging": "leave it out: the init system writes the output to /var/log",
    "mem_limit": _NO_LIMIT,
    "cpus": "limits are in `resources`, such as resources: {cpu: {quota: 50000, period: 100000}}",
    "network_mode": "write net: host",
    "networks": "a container has the network of the system with `net: host`, else none",
    "pid_mode": "write pid: host",
    "ports": "write net: host; the container's ports are then those of the system, "
    "which `dolmen run qemu --publish 8080:80` forwards",
    "privileged": "write capabilities: [all], and devices: [{path: all}] for all devices",
    "restart": "write annotations: {dolmen.restart: always}, or never; without it a service is "
    "started again when it has failed",
    "secrets": "files of the image are in the section `files`; add them with `binds`",
    "security_opt": "write seccomp: default; `capabilities` and `noNewPrivileges` limit it, too",
    "shm_size": 'write tmpfs: ["/dev/shm:size=64m"]',
    "stdin_open": "leave it out; a shell on the console is the service getty",
    "stop_grace_period": "write annotations: {dolmen.stop-timeout: 30s}",
    "stop_signal": "leave it out: a service gets SIGTERM, and then SIGKILL",
    "tty": "leave it out; a shell on the console is the service getty",
    "user": "write uid: 1000, and gid: 1000; numbers, or names of containers in this file",
    "volumes": 'write binds: ["/var/lib/data:/data"]',
    "volumes_from": 'write binds: ["/var/lib/data:/data"]',
}
