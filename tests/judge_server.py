"""A judge on a port of this machine, which may think slowly, fail, or reply as it is told."""

import re
import threading
from contextlib import nullcontext

from vllm_server import StubServer


class JudgeServer(StubServer):
    """Replies to chat completions.

    Attributes:
        opinion: From the text between the marks to a score, or to a whole reply.
        statuses: Of the next answers, before those that succeed.
        arrived: Set as soon as something was asked.
        together: Waits for as many requests as it has parties, if it is given.
    """

    def __init__(self, opinion=lambda text: 1.0, **kwargs):
        super().__init__(checkpoint=None, **kwargs)
        self.one_at_a_time, self.opinion, self.statuses = nullcontext(), opinion, []
        self.arrived, self.together, self.usage = threading.Event(), None, {"prompt_tokens": 7, "completion_tokens": 2}

    @property
    def base_url(self):
        return f"{self.address}/v1"

    @property
    def chats(self):
        return [body["messages"] for route, body in self.requests if route == "v1/chat/completions"]

    def answer(self, route, body, authorization):
        if self.token is not None and authorization != f"Bearer {self.token}":
            return 401, {"error": f"no such key: {authorization}"}
        assert route == "v1/chat/completions"
        self.requests.append((route, body))
        self.arrived.set()
        if self.together is not None:
            self.together.wait(10)
        if self.statuses and (status := self.statuses.pop(0)) is not None:
            return status, {"error": "told to fail"}
        rules, user = (message["content"] for message in body["messages"])
        text = user if isinstance(user, str) else user[-1]["text"]
        mark = re.search(r"hold the mark (\w+)", rules)[1]
        judged = text.partition(f"--- {mark} ---\n")[2].partition(f"\n--- {mark} ---")[0]
        reply = self.opinion(judged)
        if not isinstance(reply, str):
            reply = f"{re.search('`(.*)SCORE`', rules)[1]}{reply}"
        return 200, {"choices": [{"message": {"role": "assistant", "content": reply}}], "usage": self.usage}
