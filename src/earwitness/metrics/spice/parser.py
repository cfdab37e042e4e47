"""A small parser of captions into scene-graph tuples, for use without SPICE's own parser.

It knows closed word classes and verbs that captions of sounds use; every other word names a thing. The tuples
are SPICE's (Anderson et al. 2016): (object,), (object, attribute) and (subject, relation, object).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from earwitness.metrics.spice.context import (
    following,
    form_of,
    is_adjective,
    is_closed,
    is_participle,
    noun_follows,
    preceding,
    word_lemma,
)
from earwitness.metrics.spice.words import (
    ADJECTIVES,
    ADVERBS,
    AUXILIARIES,
    CLAUSE_WORDS,
    CONJUNCTIONS,
    DETERMINERS,
    NUMBERS,
    PARTICLES,
    PASSIVES,
    PLURALS,
    PREPOSITIONS,
    PRONOUNS,
    RELATIVE,
    noun_lemma,
    verb_form,
)

SceneTuple = tuple[str, ...]
_OPENERS = DETERMINERS | NUMBERS.keys()  # words that begin a noun phrase


@dataclass
class _State:
    """State of the parse."""

    tuples: dict[SceneTuple, None] = field(default_factory=dict)
    subjects: list[str] = field(default_factory=list)  # heads that the next verb speaks of
    verb: str | None = None  # the clause's verb, if it has come
    preposition: str | None = None  # waiting for its noun
    last: list[str] = field(default_factory=list)  # heads of the last noun phrase (joined ones together)
    joined: bool = False  # a conjunction precedes
    passive: bool = False  # the verb is
    first: list[str] = field(default_factory=list)  # heads of the clause's first noun phrase
    pending: list[str] = field(default_factory=list)  # adjectives of a noun to come
    copula: bool = False  # a form of be precedes
    carried: bool = False  # the subjects are those before "then", until others come
    topic: list[str] = field(default_factory=list)  # what a pronoun refers to

    def add(self, *parts: str) -> None:
        self.tuples.setdefault(parts, None)


def parse(tokens: Sequence[str]) -> list[SceneTuple]:
    """Scene-graph tuples of one caption's tokens."""
    state = _State()
    position = 0
    while position < len(tokens):
        position = _step(tokens, position, state)
    return list(state.tuples)


def _step(tokens: Sequence[str], position: int, state: _State) -> int:
    word = tokens[position]
    if word in CONJUNCTIONS:
        state.joined = True
        if following(tokens, position) in _OPENERS:
            state.preposition = None  # it was a particle: "insects buzz around and a man speaks"
        return position + 1
    if word in CLAUSE_WORDS:
        if state.subjects or state.last:
            state.topic = list(state.subjects or state.last)
        if word in RELATIVE:
            state.subjects = list(state.last or state.subjects)
        else:
            state.subjects = list(state.subjects) if word == "then" else []
            state.carried = word == "then"
        state.last = list(state.last) if word in RELATIVE else []
        state.first = []
        state.verb, state.preposition, state.joined = None, None, word == "then"
        return position + 1
    if word in AUXILIARIES:
        if state.last and (not state.subjects or state.verb is not None):
            state.subjects = list(state.first or state.last)
        state.verb, state.copula = None, True
        return position + 1
    if word in PREPOSITIONS:
        before = tokens[position - 1] if position else ""
        state.preposition = f"{before} {word}" if before in PARTICLES and word != "of" else word
        state.joined = False
        return position + 1
    if word in ADVERBS or (word.endswith("ly") and len(word) > 4):
        return position + 1
    if word in PRONOUNS:
        if not state.subjects:
            state.subjects = list(state.topic)
        return position + 1
    if verb := _verb_at(tokens, position, state):
        return _verb(verb, position, state, _passive(tokens, position, state))
    return _noun_phrase(tokens, position, state)


def _verb_at(tokens: Sequence[str], position: int, state: _State) -> str | None:
    """The base form of the verb here, None if there is none."""
    word, before = tokens[position], preceding(tokens, position)
    form = verb_form(word)
    if before in AUXILIARIES and word.endswith(("ing", "ed")):
        return form[0] if form else word
    if form is None or before in DETERMINERS or before in NUMBERS:
        return None
    base, kind = form
    if kind in ("base", "s") and following(tokens, position) in AUXILIARIES:
        return None
    if kind == "ed" and following(tokens, position) == "by" and (state.last or state.subjects):
        state.preposition = None
        return base
    if kind == "base" and before != "to" and form_of(following(tokens, position)) == "s":
        return None  # the subject of the next: "thunder roars"
    if before == "to" and kind == "base":
        state.preposition = None
        return base
    if before in PREPOSITIONS and state.preposition is not None:
        return base if kind == "s" and not noun_follows(tokens, position) and state.joined else None
    if kind == "ing":
        if state.last and not state.joined and is_participle(tokens, position):
            return base
        return (
            base if state.verb is not None and state.joined and not noun_follows(tokens, position) else None
        )
    if kind == "ed":
        return base if state.last or state.subjects else None
    if state.last:
        return base
    listed = kind == "s" and not noun_follows(tokens, position)  # "a man burps speaks and burps"
    return base if state.subjects and (state.joined or state.verb is None or listed) else None


def _passive(tokens: Sequence[str], position: int, state: _State) -> bool:
    word = tokens[position]
    if (form_of(word) or word[-2:]) != "ed":
        return False
    return preceding(tokens, position) in PASSIVES or (state.joined and state.passive)


def _verb(verb: str, position: int, state: _State, passive: bool = False) -> int:
    if state.last and (state.verb is not None or not state.subjects):
        state.subjects = list(state.first or state.last)
    state.first, state.carried = [], False
    state.verb = verb
    state.preposition, state.joined, state.copula = None, False, False
    state.passive = passive
    if not passive:
        for subject in state.subjects:
            state.add(subject, verb)
    state.last = []
    return position + 1


def _noun_phrase(tokens: Sequence[str], position: int, state: _State) -> int:
    content: list[str] = []
    while position < len(tokens) and not is_closed(word := tokens[position]):
        if content and (
            word in DETERMINERS or word in NUMBERS or _begins_verb(tokens, position, content, state)
        ):
            break
        if word not in DETERMINERS:
            content.append(word)
        position += 1
    if not content:
        return position
    if (
        len(content) == 1
        and position + 1 < len(tokens)
        and tokens[position] in ("and", "but", "or", ",")
        and is_adjective(content[0])
        and is_adjective(tokens[position + 1])
    ):
        state.pending = [*state.pending, content[0]]
        return position + 1
    if len(content) == 1 and content[0] in ADJECTIVES:
        if state.copula or state.verb is not None:
            for subject in state.subjects:
                state.add(subject, content[0])
        return position
    head = noun_lemma(content[-1])
    state.add(head)
    content = [*state.pending, *content]
    state.pending = []
    for modifier in content[:-1]:
        state.add(head, NUMBERS.get(modifier) or word_lemma(modifier))
    _attach(head, state)
    return position


def _begins_verb(tokens: Sequence[str], position: int, content: Sequence[str], state: _State) -> bool:
    """Whether a word after nouns is the verb that they are the subject of."""
    form = verb_form(tokens[position])
    if form is None or (state.verb is not None and not state.joined):
        return False
    if form[1] == "base":
        several = state.joined and bool(state.last)  # "a man and woman speak"
        return several or noun_lemma(content[-1]) != content[-1] or content[-1] in PLURALS
    if form[1] == "ing":
        return is_participle(tokens, position)
    return True


def _attach(head: str, state: _State) -> None:
    joined = state.joined
    state.joined = False
    if state.preposition is not None:
        sources = state.last or state.subjects
        relation = state.preposition
        if not state.last and state.verb is not None:
            relation = f"{state.verb} {relation}"
            for source in sources:
                state.tuples.pop((source, state.verb), None)
        for source in sources:
            if source != head:
                state.add(source, relation, head)
        if relation == "of" and not state.first:
            state.first = list(sources)
        elif relation != "of":
            state.first = []
        state.preposition = None
        state.last = [head]
    elif state.verb is not None and not joined:
        for subject in state.subjects:
            if subject != head:
                state.tuples.pop((subject, state.verb), None)
                state.add(subject, state.verb, head)
        state.last = [head]
    elif joined and state.verb is not None:
        state.last, state.first = [head], []
    else:
        if state.carried:
            state.subjects, state.carried = [], False
        state.last = [*state.last, head] if joined else [head]
    state.copula = False
