"""Whether a caption is a sentence: verbs where clauses begin, no doubled nouns, agreement.

    broken("a cash register chimes and a phone")      # ["no verb: a phone"]

It shares no rule with the decoder. Words are classed by the closed lists below, not by a parser, so it finds
the faults of a small captioner and passes most of what people write: a clause of unknown words is not judged.
"""

from __future__ import annotations

import re
from itertools import pairwise, takewhile

# Base forms of verbs that captions of sounds use.
VERBS = """
accelerate adjust alarm amplify announce answer applaud approach argue arrive babble bang bark bawl be
beat beep begin bellow blare blast blend blow boil boom bounce bray break breathe brush bubble bump burn
burp buzz call caw change chant chat chatter cheer chime chirp chop chug churn clack clang clank clap
clash clatter clean clear click climb clink clip clop close cluck coil come communicate continue
converse coo cough crack crackle crash creak crinkle croak crow crumple crunch cry cut dance deflate
dial die dig discuss displace drag draw drill drip drive drone drop drum echo emit end engage enter
explode fade fall fan fart fight fill fire fizz flap flick flow flush flutter fly follow forge fry
gallop gargle gasp get giggle give glide glug go gobble grind groan growl grow grumble grunt gurgle gush
hammer hang happen hawk heave hiss hit holler honk hoot howl hum hush idle increase inhale insert jingle
kick knock land lap laugh lead leak leave let lift listen load lock make meow mew moan moo move mumble
murmur neigh oink open operate orchestrate pan pant pass pat paint patter peal peep perform pick ping
plane play plop plow pluck plunge pop pound pour power preach press print proceed produce puff pull pump
purr push put quack race rain raise rap rattle read respond resound rev reverberate revolve ride ring
rip roar roll rub rumble run rush rustle sand saw say scamper scold scrape scratch scream screech screw
scrub scuff set sew shake shift shine shoot shout shriek shuffle shut sigh sing sizzle skid slam slap
slice slide slosh slow smack snap sneeze sniff snore snort sound spark speak speed spin spit splash
splatter spray spread sprinkle squawk squeak squeal squelch stack start steam step stir stop strike
strum stutter surge swallow sweep swing swirl swish switch talk tap tear tick tinkle toll tone toot toss
train travel trickle trill trot tumble tune turn twang tweet twirl twitter type vibrate wail walk warble
wash whack wheeze whimper whine whinny whip whir whirl whisper whistle whoop whoosh work wrap write yap
yell yelp yip yodel zap zip zoom vocalize gather rotate depart rock scuttle slurp sob weep wave whizz
whirr trumpet narrate lecture sputter rattle cock reload bleat baa sleep decelerate decrease settle
register exclaim thump thud clunk snip ruffle rumble flicker
""".split()
IRREGULAR = {
    "is": "be", "are": "be", "was": "be", "were": "be", "has": "have", "have": "have", "does": "do",
    "blew": "blow", "broke": "break", "sang": "sing", "spoke": "speak", "rang": "ring", "flew": "fly",
    "goes": "go", "can": "can", "could": "can", "heard": "hear", "struck": "strike", "seen": "see",
}  # fmt: skip
NOT_PARTICIPLES = frozenset(
    """building ceiling wing string spring king thing something nothing lightning evening""".split()
)
SOUNDS = frozenset(  # nouns that name an event by themselves: "followed by a loud bang"
    """bang bangs applause laughter music silence speech gunshot gunshots explosion explosions gunfire click
clicks thud thuds beep beeps boom booms crash whistle whistles horn horns siren sirens thunder static
noise noises sound sounds cheer cheers bark barks knock knocks tap taps pop pops splash hiss buzz hum
ring rings tone tones chirp chirps scream screams sneeze sneezes cough coughs burp burps snore snores
conversation conversations voice voices clapping footsteps wind rain water thump thumps clang clangs
rattle rattles squeak squeaks squeal screech creak creaks groan roar growl growls meow meows quack
quacks moo caw chime chimes tick ticks clink clinks clank clanks whoosh rustle rustling murmur chatter
whispers whisper giggle giggles laugh laughs cry cries yell yells shout shouts song songs melody guitar
piano drum drums drumming applauses commotion blast blasts shot shots fireworks""".split()
)
CONNECTIVES = re.compile(r"\b(?:and then|followed by|(?<!a )while|whilst|as|then|before|after|when)\b")
NO_NOUNS = frozenset(  # base forms that are no nouns: "a man speak"
    """speak sing fly blow fall pass accelerate approach vibrate sizzle breathe narrate communicate
    operate""".split()
)
GROUPS = frozenset(
    """crowd group number lot series couple pair bunch herd flock pack swarm variety""".split()
)
PLURALS = frozenset(
    "people men women children cattle sheep geese mice birds police water music traffic speech".split()
)
SINGULAR_S = frozenset(
    """bus gas glass grass chorus virus lens tennis class dress bass brass press compass series walrus
    octopus""".split()
)
ARTICLES = frozenset("a an the one another some several two three four many multiple".split())
DANGLING = ARTICLES - {"another", "several", "two", "three", "one", "many"} | frozenset(
    "and or while as then with by of to into from on at over in for is are followed loud small".split()
)
ADVERBS = frozenset(
    """loudly softly quietly repeatedly slowly quickly continuously briefly again once twice nearby faintly
    far away down up off on out around together past by in over constantly gently heavily lightly rapidly
suddenly""".split()
)
_WORD = re.compile(r"[a-z']+")


def _forms() -> tuple[dict[str, str], dict[str, str], dict[str, str]]:
    """Finite forms in -s, participles in -ing, past forms -> base."""
    third, participle, past = {}, {}, {}
    for base in VERBS:
        ends_e, doubles = base.endswith("e"), re.fullmatch(r"[^aeiou]*[aeiou][bdgklmnprt]", base) is not None
        stem = base[:-1] if ends_e else base + base[-1] if doubles else base
        y = base.endswith("y") and base[-2] not in "aeiou"
        sibilant = base.endswith(("s", "sh", "ch", "x", "z", "o"))
        third[base[:-1] + "ies" if y else base + ("es" if sibilant else "s")] = base
        participle |= {stem + "ing": base, base + "ing": base}
        past |= {base[:-1] + "ied" if y else stem + "ed": base, base + "ed": base}
    return third, participle, past


THIRD, PARTICIPLE, PAST = _forms()
BASES = frozenset(VERBS)


def is_verb(word: str) -> bool:
    """Any form of a verb; a participle in -ing of an unknown verb counts."""
    known = word in BASES or word in THIRD or word in PARTICIPLE or word in PAST or word in IRREGULAR
    return known or (word.endswith("ing") and len(word) > 5 and word not in NOT_PARTICIPLES)


def _may_be_verb(word: str) -> bool:
    """A verb, or an unknown word that ends as one."""
    known_noun = word in SOUNDS or word in SINGULAR_S or word.endswith("ss")
    return is_verb(word) or (word.endswith(("s", "ed")) and not known_noun)


def broken(caption: str) -> list[str]:
    """The faults of a caption, each with the words it is about; none if it reads as a sentence."""
    text = " ".join(_WORD.findall(caption.lower())).replace("as well as", "and")
    words = text.split()
    if not words:
        return ["empty"]
    particle = words[-1] in ADVERBS | {"on", "for"} and (is_verb(words[-2]) if len(words) > 1 else False)
    faults = [f"ends with {words[-1]!r}"] if words[-1] in DANGLING - {"over"} and not particle else []
    faults += _without_verb(text)
    faults += _doubled(words)
    faults += _groups(words)
    faults += _agreement(text)
    return faults


def _clauses(text: str) -> list[tuple[str, list[str]]]:
    """(connective before it or "", words) of each clause, also of those that "and" joins."""
    clauses, at, connective = [], 0, ""
    for found in [*CONNECTIVES.finditer(text), None]:
        piece = text[at : found.start() if found else None].split()
        clauses += [(connective if i == 0 else "and", part) for i, part in enumerate(_conjuncts(piece))]
        if found:
            connective, at = found[0], found.end()
    return clauses


def _conjuncts(words: list[str]) -> list[list[str]]:
    """Split at "and" where what stands before has a verb and what follows begins a noun phrase."""
    for i, word in enumerate(words[1:-1], start=1):
        if word == "and" and any(map(is_verb, words[:i])) and words[i + 1] in ARTICLES:
            return [words[:i], *_conjuncts(words[i + 1 :])]
    return [words]


def _without_verb(text: str) -> list[str]:
    faults = []
    for connective, words in _clauses(text):
        content = [word for word in words if word not in ADVERBS]
        if not content:
            faults += [f"nothing after {connective!r}"] if connective else []
            continue
        nominal = connective in ("", "followed by", "after", "before", "and")
        if any(map(_may_be_verb, content[1:])) or is_verb(content[0]) or (nominal and set(content) & SOUNDS):
            continue
        if connective or len(_clauses(text)) > 1:
            faults.append(f"no verb: {' '.join(words)}")
    return faults


def _doubled(words: list[str]) -> list[str]:
    """ "explosions and explosions", "a bell and a bell", "speaks speaks"."""
    faults = []
    for i, word in enumerate(words[:-1]):
        if word == words[i + 1] and word not in ("very", "again", "far", "that", "had"):
            faults.append(f"doubled: {word} {word}")
        if words[i + 1] == "and" and len(word) > 2:
            rest = [w for w in words[i + 2 : i + 5] if w not in ARTICLES | {"more", "then"}]
            if rest and rest[0] in (word, word + "s", word.removesuffix("s")) and not _may_repeat(word):
                faults.append(f"doubled: {word} and {rest[0]}")
    clauses = [" ".join(clause) for _, clause in _clauses(" ".join(words)) if len(clause) > 1]
    faults += [f"said twice: {clause}" for clause in {c for c in clauses if clauses.count(c) > 1}]
    return faults


def _may_repeat(word: str) -> bool:
    """Words that people repeat for effect: "over and over", "louder and louder"."""
    return word in PARTICIPLE or word in IRREGULAR or word in ADVERBS or word.endswith("er")


def _groups(words: list[str]) -> list[str]:
    """ "a crowd of a woman"."""
    faults = []
    for i in range(len(words) - 2):
        if words[i] in GROUPS and words[i + 1] == "of":
            members = list(takewhile(_may_be_named, words[i + 2 : i + 7])) or [""]
            plural = any(w in PLURALS or (w.endswith("s") and w not in SINGULAR_S) for w in members)
            if members[0] in ("a", "an", "one") or not plural:
                faults.append(f"group of one: {' '.join(words[i : i + 4])}")
    return faults


def _may_be_named(word: str) -> bool:
    """No finite verb: what a group is of ends there."""
    return word in SOUNDS or word in PLURALS or not (word in THIRD or word in IRREGULAR)


def _agreement(text: str) -> list[str]:
    words, faults = text.split(), []
    for word, following in pairwise(words):
        if word == "a" and re.match(r"[aeiou](?!ni[a-z]|s[ue])", following) and following != "one":
            faults.append(f"article: a {following}")
        if word == "an" and not re.match(r"[aeiouh]|x-?ray", following):
            faults.append(f"article: an {following}")
    for _, clause in _clauses(text):
        faults += [f"agreement: {' '.join(clause[:3])}"] if _disagrees(clause) else []
    return faults


def _disagrees(clause: list[str]) -> bool:
    """ "birds is", "dogs barks", "a man speak", "a dog are"."""
    for word, following in list(pairwise(clause))[:2]:
        human = word in ("people", "men", "women", "children")
        noun = word.endswith("s") and not word.endswith("ss") and word not in SINGULAR_S
        if (human or noun) and (
            following in ("is", "was") or (following in THIRD and following not in SOUNDS)
        ):
            return not (set(clause[: clause.index(word)]) & (GROUPS | THIRD.keys()))
    if len(clause) < 3 or clause[0] not in ("a", "an", "one") or "and" in clause or clause[1] in GROUPS:
        return False
    verbs = [word for word in clause[2:] if is_verb(word)]
    return clause[2] in ("are", "were") or (bool(verbs) and verbs[0] in NO_NOUNS and len(verbs) == 1)
