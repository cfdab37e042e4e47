"""Words that the Penn Treebank tokenizer knows: abbreviations, beginnings of sentences, file endings.

Found by trying 1.3 million words with a dot before a small letter, a capital, a number and the end of a line.
"""

from __future__ import annotations

# Words that say, after a dotted acronym, that its dot also ended the sentence.
STARTERS = (
    "a about according additionally after an as at but earlier he her here however if in it last many "
    "more now once one other our she since so some such that the their then there these they this we "
    "what when while yet you"
).split()
# Abbreviations whose dot never ends a sentence, ...
TITLES = (
    "adj adm adv alex assoc asst atty attys ave brig capt cf cie cmdr col comdr cpl dept det dr drs elec ens "
    "ft gen gov govs hon insp invt jos lieut lt maj messrs mlle mme mr mrs ms msgr mt natl pfc ph pres "
    "prof profs pvt rep reps rev sen sens sfc sgt spc st ste supt supts treas vs wm"
).split()
# ... those whose dot ends it when a capital or the end of the text comes next, ...
CLOSERS = (
    "al ala apr ariz assn aug bhd bldg blvd bros calif co colo conn corp cos ct dak dec esq est etc ext "
    "feb fla fri ga inc ind intl jan jr jul jun kan kans ky ltd mar md mich minn mo mon mont neb nev "
    "nov oct okla penn plc rd rt sep sept seq sq sr sys tel tenn thu thurs tue tues univ va vt wed wis "
    "wisc wyo"
).split()
# ... the same, but only with a capital (in lower case these are words), ...
CAPITAL_CLOSERS = "ark az del ill la mass miss ore pa tex wash".split()
# ... and those that are abbreviations before a number only.
NUMBER_WORDS = "art ca fig figs no nos op pp prop".split()
# Other words that keep a final dot in some place or other.
OTHER_DOTTED = "mfg mtg pte ptes pty ptys".split()

SPLIT_WORDS = frozenset("cannot gonna gotta wanna lemme gimme".split())

FILE_ENDINGS = (
    "bat bmp c cgi class cpp dll doc docx exe gif gz h htm html jar java jpeg jpg mov mp3 pdf php pl "
    "png ppt ps py sql tar txt wav x xml zip"
).split()
