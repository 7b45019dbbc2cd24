"""Fixtures: servers that are started, watched and stopped; at the end their logs are read."""

import pytest

from house import House


@pytest.fixture
def make_house(tmp_path_factory):
    """House(...) for tests that want several, or odd ones; all are stopped and checked."""
    houses = []

    def make(directory=None, **options):
        # The path is short and may be passed through by the roles' own users.
        house = House(directory or tmp_path_factory.mktemp("veredus") / "data", **options)
        houses.append(house)
        return house

    yield make
    for house in houses:
        house.stop()
    for house in houses:
        house.check_log()


@pytest.fixture
def house(make_house):
    """A server with the account user@localhost."""
    return make_house().start()


@pytest.fixture(scope="module")
def shared_house(tmp_path_factory):
    """The same for all tests of a file, for those that leave each other alone."""
    one = House(tmp_path_factory.mktemp("veredus") / "data").start()
    yield one
    one.stop()
    one.check_log()
