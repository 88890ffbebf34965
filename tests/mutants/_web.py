"""Mutants of the page: each of its guards left out, and what keeps it cheap and alive."""

from typing import Final

from tests.mutants._mutant import Mutant

_GUARD: Final = "web/_guard.py"
_OUT: Final = "strangers are kept out"
_CHEAP: Final = "looking costs little"
_TESTS: Final = "test_web_guard.py::test_"
_ELSEWHERE: Final = (f"{_TESTS}an_operation_from_elsewhere_is_refused",)

WEB: Final = (
    # --- who ----------------------------------------------------------------------------------
    Mutant(
        "whoever is nobody may look",
        _GUARD,
        "        raise refused\n",
        '        return "nobody"\n',
        _OUT,
        (f"{_TESTS}nothing_but_health_is_shown_to_who_is_not_authenticated",),
    ),
    Mutant(
        "a user without the password gets in",
        "web/_auth.py",
        "if good_user and good_password:",
        "if good_user or good_password:",
        _OUT,
        (f"{_TESTS}a_wrong_user_or_password_is_nobody",),
    ),
    Mutant(
        "guesses cost nothing",
        "web/_auth.py",
        "await trio.sleep(_PENALTY)",
        "await trio.sleep(0)",
        _OUT,
        (f"{_TESTS}guessing_passwords_takes_its_time",),
    ),
    Mutant(
        "a hook that fails lets in",
        _GUARD,
        'raise _Refused(500, "who you are could not be found out") from None',
        'return "somebody"',
        _OUT,
        (f"{_TESTS}a_hook_of_ones_own_says_who_it_is",),
    ),
    Mutant(
        "a page that is read-only is not",
        _GUARD,
        "        if self._read_only:\n",
        "        if False:\n",
        _OUT,
        (f"{_TESTS}a_page_for_looking_does_nothing",),
    ),
    Mutant(
        "the paths that are open are open for operations as well",
        _GUARD,
        '        if method != "POST" and route_path(scope) in self._open_paths:\n',
        '        if route_path(scope).startswith(("/health", "/api/task/")):\n',
        _OUT,
        (f"{_TESTS}nothing_is_done_for_who_is_not_authenticated",),
    ),
    # --- from where ---------------------------------------------------------------------------
    Mutant(
        "no token is asked for",
        _GUARD,
        "if not hmac.compare_digest(token, self._tokens.of(user).encode()):",
        "if not token:",
        _OUT,
        _ELSEWHERE,
    ),
    Mutant(
        "one token for all users",
        _GUARD,
        'hmac.new(self._secret, user.encode("utf-8", "replace"), hashlib.sha256)',
        'hmac.new(self._secret, b"", hashlib.sha256)',
        _OUT,
        (f"{_TESTS}a_token_is_its_users_own",),
    ),
    Mutant(
        "pages from elsewhere may operate",
        _GUARD,
        "        if not (same or listed):\n",
        "        if False:\n",
        _OUT,
        _ELSEWHERE,
    ),
    Mutant(
        "the browser's word on where it comes from is ignored",
        _GUARD,
        'if site != "same-origin":',
        'if site == "cross-origin":',
        _OUT,
        _ELSEWHERE,
    ),
    Mutant(
        "forms may be sent",
        _GUARD,
        'if kind != "application/json":',
        "if False:",
        _OUT,
        _ELSEWHERE,
    ),
    Mutant(
        "any name may point here",
        _GUARD,
        'self._any_host = "*" in hosts or not (hosts or auth in (None, everybody))',
        "self._any_host = True",
        _OUT,
        (f"{_TESTS}only_names_of_this_page_are_answered",),
    ),
    # --- what ---------------------------------------------------------------------------------
    Mutant(
        "a body may be longer than it says",
        _GUARD,
        "                if len(body) > self._max_body:\n",
        "                if False:\n",
        _OUT,
        (f"{_TESTS}a_body_that_is_too_large_is_not_read",),
    ),
    Mutant(
        "a body may take for ever",
        _GUARD,
        "with trio.move_on_after(BODY_TIMEOUT) as waiting:",
        "with trio.CancelScope() as waiting:",
        _OUT,
        (f"{_TESTS}a_body_that_does_not_come_is_waited_for_only_so_long",),
    ),
    Mutant(
        "the title is HTML",
        "web/_static.py",
        "html.escape(words[found[1]])",
        "words[found[1]]",
        _OUT,
        (f"{_TESTS}the_page_has_the_token_in_it",),
    ),
    Mutant(
        "errors have no security headers",
        _GUARD,
        '            if message["type"] == "http.response.start":\n',
        '            if message["type"] == "http.response.start" and message["status"] == 200:\n',
        _OUT,
        (f"{_TESTS}every_answer_has_the_headers_that_browsers_heed",),
    ),
    Mutant(
        "what has come since was looked at is operated on as well",
        "web/_operate.py",
        "or not isinstance(expected, int) or expected != total:",
        "or not isinstance(expected, int) or expected > total:",
        _OUT,
        ("test_web_operate.py::test_dead_letters_are_replayed_by_filter_as_many_as_were_seen",),
    ),
    Mutant(
        "an audit line may be two",
        "web/_audit.py",
        "one_line(user_of(request.scope)), one_line(target)",
        "user_of(request.scope), target",
        _OUT,
        ("test_web_operate.py::test_everything_that_is_done_is_in_the_audit",),
    ),
    Mutant(
        "an argument is shown whole",
        "web/_text.py",
        "    return cut(text, most)\n",
        "    return text\n",
        _OUT,
        ("test_web_hostile.py::test_values_of_any_kind_are_shown_short",),
    ),
    # --- cheap, and alive ---------------------------------------------------------------------
    Mutant(
        "nothing is kept for others who look",
        "web/_cache.py",
        "            if began < entry.until:\n",
        "            if False:\n",
        _CHEAP,
        ("test_web_sampler.py::test_many_clients_do_not_multiply_the_calls_of_the_broker",),
    ),
    Mutant(
        "expensive reads are made as often as cheap ones",
        "web/_cache.py",
        "entry.until = now + max(seconds, _REST * (now - began))",
        "entry.until = now + seconds",
        _CHEAP,
        ("test_web_sampler.py::test_reads_that_are_expensive_are_made_rarely",),
    ),
    Mutant(
        "lanes are walked although nobody looks",
        "web/_sampler.py",
        "if self._hub.streams or now - self._asked_at < 10 * STEP:",
        "if True:",
        _CHEAP,
        ("test_web_sampler.py::test_without_anybody_who_looks_only_counters_are_read",),
    ),
    Mutant(
        "the sampler ends when the broker is away",
        "web/_sampler.py",
        "except (BrokerUnavailable, BrokerFailed) as error:",
        "except BrokerFailed as error:",
        _CHEAP,
        (
            "test_web_sampler.py::test_a_broker_that_is_away_is_told_and_the_page_goes_on_when_it_is_back",
        ),
    ),
    Mutant(
        "streams outlive the page",
        "web/_app.py",
        "                    hub.end()\n",
        "",
        _CHEAP,
        ("test_web_sampler.py::test_leaving_the_block_ends_the_streams",),
    ),
    Mutant(
        "timelines are kept for ever",
        "web/_recorder.py",
        "            if len(self._timelines) > _TASKS:\n",
        "            if False:\n",
        _CHEAP,
        ("test_web_sampler.py::test_what_is_heard_of_tasks_is_bounded",),
    ),
)
