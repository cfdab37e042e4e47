"""Word classes that the caption parser knows."""

from __future__ import annotations

from functools import lru_cache

DETERMINERS = frozenset(
    (
        "a an the this that these those some any each every another its their his her our your my few all "
        "both no 's"
    ).split()
) - {"'s"}
NUMBERS = {
    word: str(number)
    for number, word in enumerate("zero one two three four five six seven eight nine ten".split())
} | {str(n): str(n) for n in range(11)}
PREPOSITIONS = frozenset(
    (
        "of in on at by with from into onto over under through across against near inside outside around "
        "behind along beside between among above below down up off out to toward towards without within "
        "about past during for upon beyond amid amongst"
    ).split()
)
CONJUNCTIONS = frozenset(("and or but , & plus").split())
CLAUSE_WORDS = frozenset(
    ("while as then when before after until that which who where so because although if than").split()
)
PASSIVES = frozenset(("is are was were be been being gets get").split())
PARTICLES = frozenset(("up down out off over along around full").split())
RELATIVE = frozenset(("that which who").split())
PLURALS = frozenset(("people men women children geese mice").split())
AUXILIARIES = frozenset(
    ("is are was were be been being has have had can could will would do does did gets get").split()
)
PRONOUNS = frozenset(
    ("it they them he she him i we you us itself themselves there each-other himself herself").split()
)
ADVERBS = frozenset(
    (
        "not very too also again away back forth together nearby twice once repeatedly continuously still "
        "just even only almost more most much less further farther later afterwards eventually suddenly "
        "here ahead apart aloud pretty quite slightly somewhat alone else faster slower n't"
    ).split()
)
ADJECTIVES = frozenset(
    (
        "loud quiet soft low high steady constant continuous faint distant heavy light deep rapid fast slow "
        "muffled close far strong gentle sharp hard shrill noisy metallic electronic mechanical busy open "
        "closed wet dry big small large long short clear dull rhythmic repetitive intermittent louder "
        "softer quieter slower faster closer"
    ).split()
)
_VERBS = (
    "accelerate activate alternate announce answer applaud approach argue ask attempt babble back bang "
    "bark beat become beep begin bellow blare blast bleat blend blow bob boil boom bounce brake break "
    "breathe brew broadcast brush bubble burble burn burp buzz cackle call capture carry carve cascade "
    "cause caw change chant chat chatter cheer chew chime chirp chop chuckle chug churn clack clang "
    "clank clap clash clatter clean clear click cling clink clop close cluck collect combine come "
    "communicate continue converse coo cook cough count cover crack crackle crash creak create cricket "
    "crinkle croak crow cruise crumble crumple crunch crush cry cut decelerate decrease dial dig ding "
    "discuss distort drag drain draw dribble drill drink drip drive drone drop drown drum dump eat echo "
    "emit engage enter erupt explode fade fall fart fill finish fire flap flip flow flush fly follow "
    "fry gallop gargle gather generate get giggle give go gobble grind groan grow growl grunt gurgle "
    "gush gust hammer handle happen hear hiccup hiss hit hold holler honk hoot hover howl hum idle "
    "ignite increase interrupt jangle jingle jog join jump kick knock land laugh launch leak leave let "
    "lift listen load lose make march meow mill mix moan moo move mow muffle mumble murmur mutter "
    "narrate neigh occur oink open operate pace pant pass patter peck peep perform play pop pound pour "
    "preach process produce pull pump punch purr push put quack race rain raise rap rasp rattle record "
    "release remove repeat resonate respond rev reverberate ride ring rip rise roar roll rotate row rub "
    "rumble rummage run rush rustle sail sand saw say scan scrape scratch scream screech scrub set sew "
    "shake sharpen shatter shift shoot shout shovel shuffle shut sigh sing sit sizzle skid slam slap "
    "sleep slice slide slosh slow slurp smack smash snap sneeze sniff snore snort sob sound speak speed "
    "spill spin splash splatter spray squawk squeak squeal squeeze stand start stir stomp stop stream "
    "strike strum struggle suck sweep swim swing swirl swish switch take talk tap tear tell throw thump "
    "thunder tick travel trickle trot try tune turn tweet type use vibrate vocalize wail wait walk "
    "warble wash whimper whine whip whir whirl whirr whisper whistle whiz whoop whoosh work write wear "
    "quake clatter cycle howl grab lead bring keep halt crinkle clatter flick tinker pound wind blare "
    "file fold crackle assemble paddle thud bump thunk plop jiggle fumble creep trail resound reach "
    "hand wash buffer burst yell yelp yip zip zoom"
).split()
_IRREGULAR = {
    "blown": "blow",
    "broken": "break",
    "driven": "drive",
    "fallen": "fall",
    "flown": "fly",
    "given": "give",
    "heard": "hear",
    "held": "hold",
    "made": "make",
    "ran": "run",
    "rung": "ring",
    "said": "say",
    "sang": "sing",
    "shaken": "shake",
    "shot": "shoot",
    "spoke": "speak",
    "spoken": "speak",
    "struck": "strike",
    "taken": "take",
    "thrown": "throw",
    "told": "tell",
    "torn": "tear",
    "went": "go",
    "written": "write",
    "began": "begin",
    "left": "leave",
    "flew": "fly",
    "rang": "ring",
    "came": "come",
    "became": "become",
    "blew": "blow",
}
_IRREGULAR_NOUNS = {
    "men": "man",
    "women": "woman",
    "children": "child",
    "people": "people",
    "geese": "goose",
    "feet": "foot",
    "mice": "mouse",
    "leaves": "leaf",
    "knives": "knife",
    "wolves": "wolf",
    "teeth": "tooth",
}
_ALWAYS_PLURAL = frozenset(
    ("glass grass gas bus brass bass series hiss class dress clothes always news tennis is was this").split()
)


@lru_cache(maxsize=1)
def _forms() -> dict[str, tuple[str, str]]:
    forms: dict[str, tuple[str, str]] = {}
    for verb in _VERBS:
        stem = verb[:-1] if verb.endswith("e") and not verb.endswith("ee") else verb
        short = len(verb) >= 3 and verb[-1] in "bdgmnpt" and verb[-2] in "aeiou" and verb[-3] not in "aeiou"
        doubled = verb + verb[-1] if short else stem
        s = verb + ("es" if verb.endswith(("s", "sh", "ch", "x", "z", "go", "do")) else "s")
        if verb.endswith("y") and verb[-2] not in "aeiou":
            s = verb[:-1] + "ies"
            forms[verb[:-1] + "ied"] = (verb, "ed")
        forms[verb] = (verb, "base")
        forms[s] = (verb, "s")
        for base in {stem, doubled}:
            forms[base + "ing"] = (verb, "ing")
            forms[base + "ed"] = (verb, "ed")
    forms.update({form: (verb, "ed") for form, verb in _IRREGULAR.items()})
    return forms


def verb_form(word: str) -> tuple[str, str] | None:
    """A verb's base form and which form the word is (base, s, ing, ed); None if it is no known verb."""
    return _forms().get(word)


@lru_cache(maxsize=100_000)
def noun_lemma(word: str) -> str:
    """The singular of a noun."""
    if word in _IRREGULAR_NOUNS:
        return _IRREGULAR_NOUNS[word]
    if len(word) < 4 or word in _ALWAYS_PLURAL or not word.endswith("s") or word.endswith(("ss", "us", "is")):
        return word
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("ches", "shes", "sses", "xes", "zzes")):
        return word[:-2]
    return word[:-1]
