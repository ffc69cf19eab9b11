import os
import signal
import subprocess

from supervisor.child.procfs import identify, is_alive, snapshot
from supervisor.child.tree import Tree
from tests.unit.child.trees import RESTLESS, forker, start


def test_tree_of_forks_that_ignore_sigterm_is_killed_whole() -> None:
    with forker("plain,plain,setsid,exec") as (tree, everybody):
        assert {stat.pid for stat in tree.walk()} >= {identity.pid for identity in everybody}
        assert not tree.is_gone()
        assert tree.kill() == 0
        assert tree.is_gone()
        assert not any(is_alive(identity) for identity in everybody)


def test_escaped_grandchildren_are_found_without_an_earlier_walk() -> None:
    with forker("setsid,exec") as (_, everybody):
        root, *escaped = everybody
        os.kill(root.pid, signal.SIGKILL)
        os.waitid(os.P_PID, root.pid, os.WEXITED | os.WNOWAIT)
        late = Tree(root, "e" * 32)
        assert {stat.pid for stat in late.walk()} == {identity.pid for identity in escaped}
        assert late.kill() == 0
        assert not any(is_alive(identity) for identity in escaped)


def test_another_generation_is_left_alone() -> None:
    with forker("setsid", epoch="a" * 32) as (mine, _), forker("exec", epoch="b" * 32) as other:
        mine.walk()
        assert mine.kill() == 0
        assert all(is_alive(identity) for identity in other[1])


def test_session_number_alone_proves_nothing() -> None:
    """The root is long dead and its number belongs to somebody else's session now."""
    stranger = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
    try:
        identity = identify(stranger.pid)
        assert identity is not None
        dead = type(identity)(identity.boot_id, identity.pid, identity.start_ticks - 1)
        tree = Tree(dead, "c" * 32)
        assert tree.walk(snapshot()) == []
        assert tree.kill() == 0
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_processes_that_keep_forking_are_caught() -> None:
    root, process = start(RESTLESS)
    assert process.stdout is not None
    process.stdout.readline()
    tree = Tree(root, "e" * 32)
    assert tree.kill() == 0
    assert tree.is_gone()
    process.wait()
    process.stdout.close()


def test_stopped_tree_dies_too() -> None:
    with forker("plain") as (tree, everybody):
        for identity in everybody:
            os.kill(identity.pid, signal.SIGSTOP)
        assert tree.kill() == 0
        assert not any(is_alive(identity) for identity in everybody)
