"""Common little words of five languages, written down for this program.

Articles, pronouns, prepositions, conjunctions and the commonest verbs: what no text of a language
does without. `BORROWED` holds words of the others that are met in a language too, in names ("Den
Haag", "Los Angeles") or with another sense ("les" in Dutch): they are no sign of another language.
"""

from __future__ import annotations

from collections.abc import Mapping

NAMES: Mapping[str, str] = {
    "nl": "Dutch", "en": "English", "de": "German", "fr": "French", "es": "Spanish",
}  # fmt: skip

_DUTCH = """
de het een en van in is dat op te zijn met voor niet aan er om ook als bij maar dan die door naar uit
ze hij zij wij we ik je jij jullie u hen hun hem haar mij me mijn jouw uw ons onze wat wie waar wanneer
waarom hoe welke welk dit deze daar hier nog wel al geen over tot tegen na tussen zonder onder boven
binnen buiten tijdens omdat want of dus toch zo nu toen heeft hebben had hadden heb hebt was waren
wordt worden werd werden kan kunnen kon konden moet moeten moest mag mogen wil willen wilde zal zullen
zou zouden gaat gaan ging doet doen deed maakt maken komt komen iets niets alles iemand niemand iedereen
elke elk ieder meer veel weinig andere ander zelf zich eens altijd nooit vaak soms alleen echter hierdoor
daarom daardoor waardoor waarbij volgens sinds vanaf ongeveer bijvoorbeeld namelijk ben bent
"""
_ENGLISH = """
the a an and of to in is that it for on with as was be by are this not or from at but have has had they
you he she we i his her its their our your my me him them us which who whom whose what when where why how
there here will would can could should may might must shall do does did been being were if than then so
such no nor only also any some all both each every other another more most much many few less between
into through during before after above below under over out up down about against because while until
although though however therefore these those very just still even ever never always often again once
without within upon toward towards among across along since whether either neither too own same
"""
_GERMAN = """
der die das den dem des ein eine einer eines einem einen und oder aber nicht kein keine keinen ist sind
war waren wird werden wurde wurden hat haben hatte hatten sein bin bist ich du er sie es wir ihr ihn ihm
ihnen uns euch mich dich mir dir sich mein meine dein deine seine seiner ihre ihrer unser unsere von vom
zu zum zur mit auf aus bei beim nach vor für über unter zwischen durch gegen ohne um am im in an als wie
wenn weil dass ob damit denn doch noch schon auch nur sehr mehr viel viele alle alles andere anderen
dieser diese dieses diesem diesen jeder jede jedes welche welcher was wer wo wann warum hier dort dann
jetzt immer nie kann können konnte muss müssen soll sollen will wollen darf dürfen möchte so da bis seit
während wegen trotz jedoch etwas nichts man
"""
_FRENCH = """
le la les un une des du de et ou mais donc or ni car ne pas plus que qui quoi dont où ce cet cette ces
il elle ils elles on nous vous je tu me te se lui leur leurs mon ma mes ton ta tes son sa ses notre nos
votre vos est sont était étaient être été suis es sommes êtes a ont avait avaient avoir ai as avons avez
fait faire peut peuvent pouvoir doit doivent dans par pour avec sans sous sur vers chez entre depuis
pendant avant après contre comme si quand lorsque parce puis alors ainsi aussi très bien encore toujours
jamais rien tout tous toute toutes même mêmes autre autres chaque quelque quelques plusieurs beaucoup peu
moins trop cela ceci ça là ici au aux à en y afin cependant selon
"""
_SPANISH = """
el la los las un una unos unas y e o u pero sino que de del al a en con por para sin sobre entre hasta
desde hacia contra según durante mediante es son era eran ser sido fue fueron está están estaba estar
soy eres somos ha han había haber he hemos tiene tienen tener hace hacer puede pueden poder debe deben
yo tú él ella ellos ellas nosotros usted ustedes me te se le les lo nos mi mis tu tus su sus nuestro
nuestra este esta estos estas ese esa esos esas aquel aquella esto eso qué quien quién cual cuál cuando
cuándo donde dónde como cómo porque aunque si no sí también muy más menos mucho muchos muchas poco todo
toda todos todas otro otra otros otras cada algo nada nadie nunca siempre ya aún así entonces después
antes ahora aquí allí sólo solo bien pues mientras
"""

WORDS: Mapping[str, frozenset[str]] = {
    "nl": frozenset(_DUTCH.split()), "en": frozenset(_ENGLISH.split()), "de": frozenset(_GERMAN.split()),
    "fr": frozenset(_FRENCH.split()), "es": frozenset(_SPANISH.split()),
}  # fmt: skip

_BORROWED_DUTCH = "a an as at den der des du el i la las le les los man o per son sur war y"
_BORROWED_ENGLISH = """
am bin das de del den des die du e el en est hat la las le les los man mine no on or per plus son ton
van war will
"""
_BORROWED_GERMAN = "a de del den e el en her i la las le los mal o per plus son un y"
_BORROWED_FRENCH = "a an de del den des die el in las los no o per son via"
_BORROWED_SPANISH = "an dan das den do e in la las le los me no pas per plus sin van"

BORROWED: Mapping[str, frozenset[str]] = {
    "nl": frozenset(_BORROWED_DUTCH.split()), "en": frozenset(_BORROWED_ENGLISH.split()),
    "de": frozenset(_BORROWED_GERMAN.split()), "fr": frozenset(_BORROWED_FRENCH.split()),
    "es": frozenset(_BORROWED_SPANISH.split()),
}  # fmt: skip


def foreign_words(language: str, other: str) -> frozenset[str]:
    """Return the words of `other` that are none of `language`."""
    return WORDS[other] - WORDS[language] - BORROWED[language]
