from supervisor.gateway.routing import LIMIT_SECONDS, Route, RouteTable, Waiter, Worker


def worker(name: str, *, is_open: bool = True) -> Worker:
    return Worker(name, name, 1, f"/run/{name}.sock", is_open)


def table(*names: str) -> RouteTable:
    made = RouteTable()
    made.update([worker(name) for name in names])
    return made


def waiters(made: RouteTable, count: int, *, start: int = 0, alone: bool = False) -> list[Waiter]:
    new = [Waiter(start + number, alone) for number in range(count)]
    for waiter in new:
        made.enqueue(waiter)
    return new


def names(assigned: list[tuple[Waiter, Route]]) -> list[str]:
    return [route.worker.name for _, route in assigned]


def test_the_least_busy_worker_is_chosen() -> None:
    made = table("a", "b", "c")
    waiters(made, 7)
    assert sorted(names(made.dispatch(0.0))) == ["a", "a", "a", "b", "b", "c", "c"]


def test_older_requests_go_first_wherever_they_are_in_time() -> None:
    made = RouteTable()
    late, early = Waiter(5), Waiter(2)
    made.enqueue(late)
    made.enqueue(early)
    made.update([worker("a")])
    assert [waiter for waiter, _ in made.dispatch(0.0)] == [early, late]


def test_closed_and_unlisted_workers_get_nothing() -> None:
    made = RouteTable()
    made.update([worker("a", is_open=False), worker("b")])
    waiters(made, 2)
    assert names(made.dispatch(0.0)) == ["b", "b"]
    assert made.update([worker("a", is_open=False)]) == ["b"]
    waiters(made, 1)
    assert made.dispatch(0.0) == []
    assert made.waiting == 1


def test_an_unlisted_epoch_is_reported_until_its_last_request_is_gone() -> None:
    made = table("a")
    waiters(made, 2)
    first, second = (route for _, route in made.dispatch(0.0))
    made.update([])
    assert made.in_flight() == {"a": 2}
    assert made.listed() == []
    made.release(first)
    made.release(second)
    assert made.in_flight() == {}


def test_a_failing_epoch_is_paused_longer_each_time_and_only_once_per_incident() -> None:
    made = table("a")
    route = made.listed()[0]
    ends = []
    now = 0.0
    for _ in range(7):
        route.pause(now)
        route.pause(now)  # the other requests that were in it
        ends.append(round(route.paused_until - now, 3))
        now = route.paused_until
    assert ends == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    route.serves()
    route.pause(now)
    waiters(made, 1)
    assert made.dispatch(now) == []
    change = made.next_change(now)
    assert change is not None
    assert round(change - now, 3) == 0.1
    assert names(made.dispatch(change)) == ["a"]


def test_a_full_epoch_gets_no_more_than_it_ran_until_it_is_asked_again() -> None:
    made = table("a")
    waiters(made, 3)
    routes = [route for _, route in made.dispatch(0.0)]
    made.release(routes[2])  # refused with queue_full
    routes[2].full(0.0)
    waiters(made, 2, start=10)
    assert made.dispatch(1.0) == []
    made.release(routes[0])
    assert len(made.dispatch(1.0)) == 1
    assert made.dispatch(LIMIT_SECONDS - 0.1) == []
    assert len(made.dispatch(LIMIT_SECONDS)) == 1


def test_a_worker_full_while_nothing_runs_is_asked_later() -> None:
    made = table("a")
    route = made.listed()[0]
    route.full(0.0)
    waiters(made, 1)
    assert made.dispatch(0.0) == []
    assert len(made.dispatch(0.2)) == 1


def test_a_lost_epoch_is_avoided_while_there_is_another() -> None:
    made = table("a", "b")
    waiters(made, 2)
    made.dispatch(0.0)
    made.enqueue(Waiter(9, avoid=frozenset({"a"})))
    assert names(made.dispatch(0.0)) == ["b"]
    made.update([worker("a")])
    made.enqueue(Waiter(10, avoid=frozenset({"a"})))
    assert names(made.dispatch(0.0)) == ["a"]


def test_who_runs_alone_waits_for_an_empty_worker_and_keeps_it() -> None:
    made = table("a")
    waiters(made, 1)
    [(_, busy)] = made.dispatch(0.0)
    [suspect] = waiters(made, 1, start=1, alone=True)
    waiters(made, 1, start=2)
    assert made.dispatch(0.0) == []  # the younger one may not keep the worker busy
    made.release(busy)
    assert [waiter for waiter, _ in made.dispatch(0.0)] == [suspect]
    assert made.dispatch(0.0) == []
    made.release(busy)
    assert len(made.dispatch(0.0)) == 1


def test_others_use_the_other_workers_meanwhile_and_one_suspect_runs_at_a_time() -> None:
    made = table("a", "b")
    suspects = waiters(made, 2, alone=True)
    waiters(made, 2, start=5)
    assigned = made.dispatch(0.0)
    alone = assigned[0][1]
    assert assigned[0][0] is suspects[0]
    assert all(route is not alone for _, route in assigned[1:])
    assert len(assigned) == 3
    made.release(alone)
    assert [waiter for waiter, _ in made.dispatch(0.0)] == [suspects[1]]


def test_withdrawn_waiters_are_not_assigned() -> None:
    made = table("a")
    first, second = waiters(made, 2)
    made.withdraw(first)
    made.withdraw(first)
    assert [waiter for waiter, _ in made.dispatch(0.0)] == [second]


def test_after_a_pause_one_request_tries_and_the_rest_follow_when_it_is_answered() -> None:
    made = table("a")
    route = made.listed()[0]
    route.pause(0.0)
    waiters(made, 3)
    assert len(made.dispatch(1.0)) == 1
    assert made.dispatch(1.0) == []
    route.pause(1.0)  # it did not answer
    made.release(route)
    assert made.dispatch(1.1) == []
    assert len(made.dispatch(2.0)) == 1
    assert route.serves()
    assert not route.serves()
    assert len(made.dispatch(2.0)) == 1


def test_a_try_that_was_given_up_does_not_keep_the_others_waiting() -> None:
    made = table("a")
    route = made.listed()[0]
    route.pause(0.0)
    waiters(made, 2)
    made.dispatch(1.0)
    made.release(route)  # its client went away
    assert len(made.dispatch(1.0)) == 1
