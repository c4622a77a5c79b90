"""The promise to users, as a check: bad input gives one line that says what is wrong."""

import pytest

from tinygan.codec import DataError


def error_of(call, *args, **kwargs) -> str:
    """The message of the DataError that `call` raises, checked to be one line."""
    with pytest.raises(DataError) as caught:
        call(*args, **kwargs)
    message = str(caught.value)
    assert message and len(message.splitlines()) == 1
    return message
