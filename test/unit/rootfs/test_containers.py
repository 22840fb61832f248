"""What a container is told: image, label and YAML merged, in the runtime specification's words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from assembler.codes import rootfs
from assembler.errors import PlanError
from assembler.rootfs.plan import ImageTree
from support.systems import loaded, made, planned

if TYPE_CHECKING:
    from assembler.oci.store import Store


def spec_of(store: Store, container: str, more: str = "", **changes: Any) -> dict[str, Any]:
    """Return config.json of the service `s`, given in flow style."""
    plan = planned(loaded(f"services: [{{name: s, {container}}}]\n{more}"), store, **changes)
    return json_of(made(plan)["containers/services/s/config.json"].content)


def json_of(content: object) -> dict[str, Any]:
    assert isinstance(content, bytes)
    document = json.loads(content)
    assert isinstance(document, dict)
    return document


def warnings_of(store: Store, text: str) -> list[str]:
    return [str(w.code) for w in planned(loaded(text), store).warnings]


def mounts(spec: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {m["destination"]: m for m in spec["mounts"]}


def test_resources_are_complete_and_in_the_spelling_of_the_specification(store: Store) -> None:
    spec = spec_of(
        store,
        """image: example/plain:1, resources: {
          memory: {kernelTCP: 5, disableOOMKiller: true}, cpu: {realtimeRuntime: 4, quota: -1},
          blockio: {leafWeight: 20, weightDevice: [{major: 8, minor: 0, weight: 500}],
                    throttleReadBpsDevice: [{major: 8, minor: 1, rate: 600}]},
          hugepageLimits: [{pageSize: 2, limit: 9}],
          network: {classID: 7, priorities: [{name: eth0, priority: 5}]}}""",
    )
    assert spec["linux"]["resources"] == {
        "memory": {"kernelTCP": 5, "disableOOMKiller": True},
        "cpu": {"quota": -1, "realtimeRuntime": 4},
        "blockIO": {
            "leafWeight": 20,
            "weightDevice": [{"major": 8, "minor": 0, "weight": 500}],
            "throttleReadBpsDevice": [{"major": 8, "minor": 1, "rate": 600}],
        },
        "hugepageLimits": [{"pageSize": "2MB", "limit": 9}],
        "network": {"classID": 7, "priorities": [{"name": "eth0", "priority": 5}]},
    }


def test_id_mappings_keep_their_ids(store: Store) -> None:
    spec = spec_of(
        store, "image: example/plain:1, uidMappings: [{hostID: 1, containerID: 2, size: 3}]"
    )
    assert spec["linux"]["uidMappings"] == [{"containerID": 2, "hostID": 1, "size": 3}]


def test_mounts_with_id_mappings(store: Store) -> None:
    mapping = "{hostID: 1, containerID: 2, size: 3}"
    mount = f"{{type: bind, source: /a, destination: /b, uidmappings: [{mapping}]}}"
    spec = spec_of(store, f"image: example/plain:1, mounts: [{mount}]")
    assert mounts(spec)["/b"]["uidMappings"] == [{"containerID": 2, "hostID": 1, "size": 3}]


def test_labels_are_complete(store: Store) -> None:
    plan = planned(loaded("services: [{name: s, image: example/lab-all:1}]"), store)
    assert plan.warnings == ()
    linux = spec_of(store, "image: example/lab-all:1")["linux"]
    assert linux["uidMappings"] == [{"containerID": 0, "hostID": 1000, "size": 10}]
    assert linux["resources"]["memory"]["disableOOMKiller"] is True


def test_a_key_in_the_yaml_replaces_the_labels(store: Store) -> None:
    spec = spec_of(
        store,
        "image: example/lab-all:1, resources: {memory: {disableOOMKiller: true}},"
        "uidMappings: [], gidMappings: []",
    )
    assert spec["linux"]["resources"]["memory"] == {"disableOOMKiller": True}


def test_capabilities_are_not_duplicated(store: Store) -> None:
    spec = spec_of(store, "image: example/lab-all:1, capabilities.add: [CAP_CHOWN, CAP_NET_ADMIN]")
    sets = spec["process"]["capabilities"]
    assert sets["effective"] == ["CAP_NET_ADMIN", "CAP_SYS_TIME", "CAP_CHOWN"]
    assert sets["bounding"] == ["CAP_CHOWN", "CAP_NET_ADMIN", "CAP_SYS_TIME"]


@pytest.mark.parametrize("label", ["lab-allcaps", "lab-caps"])
def test_all_with_anything_is_all(store: Store, label: str) -> None:
    added = "CAP_CHOWN" if label == "lab-allcaps" else "all"
    spec = spec_of(store, f"image: 'example/{label}:1', capabilities.add: [{added}]")
    assert len(spec["process"]["capabilities"]["effective"]) == 41


def test_add_with_the_plain_key_has_no_effect_and_a_warning(store: Store) -> None:
    text = """services: [{name: s, image: example/lab-all:1, uidMappings: [], gidMappings: [],
      resources: {}, capabilities: [CAP_KILL], capabilities.add: [CAP_CHOWN]}]"""
    assert warnings_of(store, text) == [str(rootfs.NO_EFFECT)]


def test_users_of_images_are_ignored_with_a_warning(store: Store) -> None:
    plan = planned(loaded("services: [{name: s, image: example/plain:1}]"), store)
    spec = json_of(made(plan)["containers/services/s/config.json"].content)
    assert spec["process"]["user"] == {"uid": 0, "gid": 0}
    (warning,) = plan.warnings
    assert warning.code == rootfs.USER_IGNORED
    assert warning.hints == ("to run it as the image specifies, write uid: 1000, gid: 1001",)
    assert warnings_of(store, "services: [{name: s, image: example/plain:1, uid: 0}]") == []


def test_a_container_without_a_command_gives_a_warning(store: Store) -> None:
    assert warnings_of(store, "services: [{name: s, image: example/nocmd:1}]") == [
        str(rootfs.NO_COMMAND)
    ]


def test_volumes_in_mounts_and_labels_are_resolved(store: Store) -> None:
    volumes = "volumes: [{name: v}, {name: scratch}]"
    mount = "mounts: [{type: bind, source: v, destination: /v, options: [rw, bind]}]"
    spec = spec_of(store, f"image: example/lab-vol:1, {mount}", volumes)
    assert mounts(spec)["/v"]["source"] == "/containers/volumes/v/merged"
    assert mounts(spec)["/scratch"]["source"] == "/containers/volumes/scratch/merged"


def test_an_unknown_volume_in_a_label_gives_a_warning(store: Store) -> None:
    plan = planned(loaded("services: [{name: s, image: example/lab-vol:1}]"), store)
    (warning,) = plan.warnings
    assert warning.code == rootfs.UNKNOWN_VOLUME
    assert warning.place is not None
    assert "label" in warning.place.source.name
    assert [str(r.place) for r in warning.remarks] == ["image.yml:1:29"]


@pytest.mark.parametrize("options", ["ro", "ro,noexec", "nosuid,ro"])
def test_a_read_only_volume_takes_more_options_than_ro(store: Store, options: str) -> None:
    spec = spec_of(
        store,
        f"image: example/nocmd:1, binds: ['v:/v:{options}']",
        "volumes: [{name: v, readonly: true}]",
    )
    assert mounts(spec)["/v"]["options"] == [*options.split(","), "rbind"]


def test_a_label_cannot_bind_a_read_only_volume_for_writing(store: Store) -> None:
    text = """
services: [{name: s, image: example/lab-vol:1}]
volumes: [{name: scratch, readonly: true}]
"""
    with pytest.raises(PlanError) as caught:
        planned(loaded(text), store)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.code == rootfs.READONLY_VOLUME
    assert diagnostic.remarks


def test_a_tree_is_laid_out_once_and_shared(store: Store) -> None:
    text = """
onboot: [{name: a, image: example/nocmd:1, readonly: true}]
services: [{name: b, image: docker.io/example/nocmd:1}, {name: c, image: example/onlycmd:1}]
"""
    plan = planned(loaded(text), store)
    prefixes = [p.prefix for p in plan.parts if isinstance(p, ImageTree)]
    assert prefixes == ["containers/onboot/000-a/rootfs/", "containers/services/c/lower/"]
    runtime = json_of(made(plan)["containers/services/b/runtime.json"].content)
    assert runtime["mounts"][2]["options"][0] == "lowerdir=/containers/onboot/000-a/rootfs"


def test_all_mistakes_are_reported_at_once(store: Store) -> None:
    text = """
services:
- {name: a, image: "example/bad-caps:1"}
- {name: b, image: "example/bad-unknown:1"}
- {name: c, image: "example/bad-uidname:1"}
files: [{path: x, source: nowhere}]
"""
    with pytest.raises(PlanError) as caught:
        planned(loaded(text), store)
    places = [str(d.place).partition(" ")[0] for d in caught.value.diagnostics]
    assert places == [
        "docker.io/example/bad-caps:1",
        "docker.io/example/bad-unknown:1",
        "docker.io/example/bad-uidname:1",
        "image.yml:6:27",
    ]
    remarks = [str(r.place) for d in caught.value.diagnostics for r in d.remarks]
    assert remarks == ["image.yml:3:20", "image.yml:4:20", "image.yml:5:20"]


def test_texts_with_quotes_and_controls_stay_json(store: Store) -> None:
    spec = spec_of(store, 'image: example/nocmd:1, env: ["A=\\"\\n\\u0007é"], command: ["ß"]')
    assert spec["process"]["env"] == ['A="\n\x07é']
    assert spec["process"]["args"] == ["ß"]


def test_an_apparmor_profile_is_that_of_the_process(store: Store) -> None:
    named = spec_of(store, "image: example/plain:1, uid: 0, apparmor: container-default")
    assert named["process"]["apparmorProfile"] == "container-default"
    for text in ("", ", apparmor: unconfined"):
        assert "apparmorProfile" not in spec_of(store, f"image: example/plain:1{text}")["process"]
