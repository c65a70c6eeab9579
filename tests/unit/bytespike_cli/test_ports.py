"""Ports: a taken one is seen as taken, also when its owner would share it."""

from __future__ import annotations

import socket

from bytespike_cli.ports import LOOPBACK, free_port, port_is_free


def test_a_listener_that_would_share_still_takes_the_port() -> None:
    port = free_port()
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((LOOPBACK, port))
        listener.listen()
        assert not port_is_free(port)
    assert port_is_free(port)


def test_picked_ports_are_out_of_reach_of_outgoing_connections() -> None:
    assert all(15_000 <= free_port() < 32_768 for _ in range(20))


def test_no_port_is_handed_out_twice() -> None:
    # By the birthday rule, 500 free draws from 17,000 would be without a repeat once in 1,500 runs.
    assert len({free_port() for _ in range(500)}) == 500
