"""The text that the built-in model is trained on: topics.txt in many phrasings, small sums, lists and JSON.

Every dialogue is made from a random.Random that the caller gives, so a seed gives the same text on every machine.
What stands in heldout.tsv never occurs: a question that would read the same is made again.
"""
import pathlib
import re

HERE = pathlib.Path(__file__).parent

THING = """what is {x}? ; what does {x} do? ; what is {x} for? ; explain {x} ; tell me about {x} ; {x} ; {x}? ;
how does {x} work? ; what does {x} mean? ; when do i use {x}? ; how do i use {x}? ; what do you know about {x}? ;
can you explain {x}? ; i want to know about {x} ; describe {x} ; what's {x}? ; information on {x} ; why is there {x}? ;
could you tell me what {x} is? ; what can i do with {x}? ; how is {x} used? ; help with {x} ; meaning of {x} ;
i do not understand {x} ; give me an example of {x} ; what happens with {x}? ; define {x} ; is there {x}? ;
tell me what {x} does""".replace("\n", " ").split(" ; ")
ACTION = """how do i {x}? ; how can i {x}? ; how to {x} ; how to {x}? ; is there a way to {x}? ; i want to {x} ;
which flag do i need to {x}? ; can carat {x}? ; what do i type to {x}? ; help me {x} ; is it possible to {x}? ;
what is the command to {x}? ; can you tell me how to {x}? ; show me how to {x} ; i would like to {x} ; {x} ; can i {x}? ;
what must i do to {x}? ; how would i {x}? ; i need to {x} ; explain how to {x} ; what is the flag to {x}? ;
which option lets me {x}? ; how does one {x}? ; tell me how to {x} ; i am trying to {x} ; what is the best way to {x}? ;
which command should i use to {x}? ; where can i {x}? ; how could i {x}? ; what if i want to {x}? ; do you know how to {x}? ;
any way to {x}? ; how should i {x}? ; i wonder how to {x} ; i need help to {x} ; {x}: how? ; what do i have to do to {x}? ;
i can't {x} ; i want carat to {x} ; let me {x} ; i have to {x} ; what flag will {x}? ; may i {x}? ; is carat able to {x}?
""".replace("\n", " ").strip().split(" ; ")
DOING = """what about {x}? ; does carat support {x}? ; {x} ; i have trouble with {x} ; what is the flag for {x}? ; is {x} possible? ;
how does {x} work? ; {x}, how? ; explain {x} ; which command is for {x}? ; a way of {x} ; tell me about {x} ; help with {x} ;
what do i use for {x}? ; i am thinking of {x}
""".replace("\n", " ").strip().split(" ; ")
REASON = """why do i get {x}? ; i get {x} ; what does it mean: {x}? ; carat says {x} ; what do i do about {x}? ; {x} ;
how do i fix {x}? ; why does carat say {x}? ; i see {x} ; it shows {x}, why? ; explain {x} ; help, {x} ; it ended with {x} ;
what is {x}? ; what is the reason for {x}? ; there is {x} ; it complains: {x} ; what can i do against {x}?
""".replace("\n", " ").strip().split(" ; ")
CODE = """what does exit code {x} mean? ; what is exit code {x}? ; exit code {x} ; carat returned {x}, why? ; status {x} ;
it exited with {x} ; why did carat exit with {x}? ; what does exit status {x} mean? ; i get exit code {x} ;
the exit code is {x} ; explain exit code {x} ; why do i get exit code {x}? ; carat ended with code {x} ;
what does it mean when carat returns {x}? ; return code {x} ; what is return code {x}? ; my script got exit code {x} ;
what about exit code {x}? ; when is the exit code {x}? ; tell me about exit code {x} ; meaning of exit code {x}
""".replace("\n", " ").strip().split(" ; ")

BEFORE = ["please, ", "please ", "hi, ", "hello, ", "hey, ", "excuse me, ", "ok, ", "so ", "well, ", "a question: ",
          "quick question: ", "tell me, ", "sorry, ", "carat, ", "now ", "and ", "but "]
AFTER = [", please", " please", " in carat", " with carat", " for me", " here", " exactly", ", thanks", " now", " really",
         " on linux", " in the shell", " on my machine", " with this program", " with this tool", " then"]

TAILS = [", how?", ", how do i do that?", ", what now?", ", what do i do?", ", can you help?", ", is that possible?",
         ", which flag is it?", ", any idea?", ", what should i do?", ", how is that done?"]
WANTS = ["i want to", "i would like to", "i need to", "i'd love to", "i have to", "i am trying to", "i try to", "we want to",
         "my task is to", "i wish to", "suppose i want to", "say i want to"]
# Words that change nothing, and that a question may have anywhere.
FILLERS = """now just really then here maybe actually also again ever exactly still always only quite simply perhaps today
please the a my some this that it so well one would could should can will do does did have has be is are was you me i we
sort of kind thing way like about when while for with from at on in there all any much very more good new own""".split()

# Words that say the same, both ways.
SAME = [("show", "display", "print"), ("answer", "reply", "response", "output"), ("choose", "select", "pick", "specify"),
        ("set", "change", "adjust"), ("make", "create", "produce"), ("get", "obtain"), ("see", "view", "look at"),
        ("flag", "option", "switch", "parameter"), ("command", "subcommand"), ("convert", "transform",
        "turn"), ("limit", "restrict", "cap"), ("talk to", "speak with", "chat with"), ("stop", "halt", "end"),
        ("larger", "bigger", "longer"), ("quantise", "quantize"), ("speed", "performance"), ("find out", "learn", "know"),
        ("conversation", "chat", "dialogue"), ("use", "take", "work with"), ("folder", "directory"), ("text", "text",
        "string"), ("list", "show", "enumerate"), ("write", "print"), ("message", "error"), ("gpu", "graphics card"),
        ("need", "require"), ("shrink", "reduce"), ("several", "many", "multiple"), ("smaller", "more compact"), ("compute", "calculate", "work out"),
        ("interrupt", "break off", "abort", "cancel"), ("leave", "quit", "exit", "get out of"), ("end", "finish", "terminate"),
        ("go on with", "continue", "resume", "carry on with"), ("same", "identical"), ("turn off", "switch off", "disable"),
        ("turn on", "switch on", "enable"), ("install", "set up", "get installed"), ("text", "sentence", "document"),
        ("says", "tells me", "prints", "claims", "reports", "complains"), ("fast", "quick"), ("faster", "quicker"),
        ("randomness", "chance"), ("creative", "imaginative"), ("big", "large", "huge"), ("small", "little", "tiny"),
        ("run", "start", "launch", "execute"), ("build", "compile"), ("repeat", "say again"), ("forget", "drop", "erase"),
        ("put", "place"), ("open", "load"), ("measure", "determine", "find out"), ("give", "pass", "hand"), ("read",
        "process"), ("memory", "ram"), ("processor", "cpu"), ("licence", "license"), ("supported", "known", "possible"),
        ("last", "previous"), ("old", "outdated"), ("hold", "force"), ("model", "llm", "model"), ("chat", "conversation",
        "talk"), ("before", "earlier"), ("at once", "simultaneously"),
        ("download", "fetch"), ("words", "text"), ("question", "prompt"), ("begin", "start"), ("save", "store", "keep")]

NAMES = """Ada Bob Carl Dora Emma Finn Grace Hugo Ida Jack Kate Leo Mia Noah Olga Paul Rosa Sam Tina Uma Vera Will Yara Zoe
Anna Ben Clara David Eva Frank Greta Hans Iris John Karl Lena Max Nina Otto Peter Rita Simon Tom Ursula Victor Mary Alice
Linus Marie Alan Ruth Maria James Laura""".split()
CITIES = """Paris Berlin London Rome Madrid Vienna Oslo Lima Cairo Tokyo Prague Dublin Lisbon Athens Boston Zurich Milan
Munich Hamburg Delhi Sydney Toronto Chicago Geneva""".split()
GOODS = """bread milk tea coffee cheese book pen lamp chair table apple soap shirt hat bag cup phone ticket bottle
cake""".split()
CAPITALS = dict(France="Paris", Germany="Berlin", Italy="Rome", Spain="Madrid", Austria="Vienna", Norway="Oslo",
                Peru="Lima", Egypt="Cairo", Japan="Tokyo", Ireland="Dublin", Portugal="Lisbon", Greece="Athens",
                England="London", Switzerland="Bern", Sweden="Stockholm", Denmark="Copenhagen", Poland="Warsaw",
                Russia="Moscow", China="Beijing", India="New Delhi", Canada="Ottawa", Australia="Canberra",
                Belgium="Brussels", Hungary="Budapest", Finland="Helsinki")
OPPOSITES = """hot cold;big small;good bad;up down;left right;fast slow;day night;black white;old new;high low;open closed;
full empty;light dark;long short;happy sad;easy hard;early late;near far;wet dry;rich poor""".replace("\n", "").split(";")
KINDS = {"rivers": "Nile, Amazon, Rhine, Danube, Thames", "colours": "red, green, blue, yellow, black",
         "colors": "red, green, blue, yellow, black", "fruits": "apple, pear, plum, cherry, grape",
         "animals": "cat, dog, horse, cow, mouse", "planets": "Mercury, Venus, Earth, Mars, Jupiter",
         "cities": "Paris, London, Rome, Berlin, Madrid", "countries": "France, Italy, Spain, Germany, Japan",
         "trees": "oak, beech, pine, birch, elm", "birds": "robin, swan, eagle, owl, crow",
         "vegetables": "carrot, onion, leek, bean, pea", "languages": "English, French, German, Spanish, Italian",
         "metals": "iron, copper, gold, silver, tin", "mountains": "Everest, Eiger, Etna, Fuji, Olympus",
         "oceans": "Pacific, Atlantic, Indian, Arctic, Southern", "flowers": "rose, tulip, lily, daisy, violet"}
NUMBERS = "zero one two three four five six seven eight nine ten".split()
SERIES = {
    "days of the week": "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday.",
    "months": "January, February, March, April, May, June, July, August, September, October, November, December.",
    "months of the year": "January, February, March, April, May, June, July, August, September, October, November, "
                          "December.",
    "seasons": "Spring, summer, autumn, winter.",
    "planets": "Mercury, Venus, Earth, Mars, Jupiter, Saturn, Uranus, Neptune.",
    "letters of the alphabet": "A B C D E F G H I J K L M N O P Q R S T U V W X Y Z.",
    "continents": "Africa, Antarctica, Asia, Australia, Europe, North America, South America.",
}
SYSTEMS = ["You are a helpful assistant.", "Be brief.", "Answer shortly.", "You know everything about carat.",
           "Answer in one sentence.", "You are a friendly guide."]


def plain(text):
    """What is left of a question when it is compared with another."""
    return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()


def read_heldout():
    rows = [line.split("\t") for line in (HERE / "heldout.tsv").read_text().splitlines() if line and line[0] != "#"]
    return [(question, facts) for question, facts in rows]


def holds(answer, facts):
    return any(all(fact in answer for fact in way.split(" & ")) for way in facts.split(" | "))


def read_topics():
    topics = []
    for block in (HERE / "topics.txt").read_text().split("\n\n"):
        topic = {"is": [], "to": [], "why": [], "ask": [], "code": [], "late": [], "other": []}
        for line in block.splitlines():
            if line.startswith("#"):
                continue
            if line.startswith("= "):
                topic["answer"] = line[2:]
            else:
                key, _, rest = line.partition(": ")
                topic[key] += rest.split(" ; ")
        if "answer" in topic:
            topics.append(topic)
    return topics


ASKING = set("how what which do does i can is there you tell would could where why when should want need".split())
STOP_WORDS = set("a an the of to in my it is on and or that with for into from as i me by its".split())


def doing(action):
    """"make it faster" becomes "making it faster"."""
    verb, gap, rest = action.partition(" ")
    if verb.endswith("e") and not verb.endswith("ee"):
        verb = verb[:-1]
    elif re.fullmatch("set|get|put|stop|run|cap|cut|begin|quit|drop|chat|let", verb):
        verb += verb[-1]
    return verb + "ing" + gap + rest


def keywords(phrase):
    return " ".join(word for word in phrase.split() if word not in STOP_WORDS) or phrase


def misspell(word, rng):
    if len(word) < 4 or not word.isalpha():
        return word
    i = rng.randrange(1, len(word) - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return word[:i] + word[i + 1:]
    if kind == 1:
        return word[:i] + word[i] + word[i:]
    return word[:i] + word[i + 1] + word[i] + word[i + 2:]


class Style:
    """How questions are made: all that a stage of the training may change."""

    def __init__(self, noise=1.0, turns=(70, 18, 8, 4), largest=12, late=False):
        self.noise = noise  # times the chance of every mistake and every needless word
        self.turns = turns  # how often a dialogue has one, two, three, four turns
        self.largest = largest  # number to be added or subtracted; what is multiplied is two smaller
        self.late = late  # topics have their late questions, too; numbers vary, and names are written as names


AMOUNTS = "2 3 4 5 6 8 10 12 15 16 20 24 30 32 40 50 64 80 100 128 150 200 250 256 300 400 500 512 600 800 1000 1024".split()
AMOUNTS += "2000 2048 4000 4096 5000 8000 8192 10000 16000 16384 32768".split()
NAMES_OF_THINGS = re.compile(r"(?<![-\w./])(gguf|json|jsonl|cpu|gpu|ram|kv|llm|llms|sbs|sfp|gbnf|qwen|llama|gemma|linux|windows|"
                             r"mac|nvidia|python|stdin|hugging face|chatgpt|gpt|germany|german|english|french)(?![-\w])")


def spell_names(question, rng):
    """gguf as GGUF, linux as Linux, now and then."""
    if rng.random() < 0.5:
        return question
    return NAMES_OF_THINGS.sub(lambda m: m[0].upper() if len(m[0]) < 5 and m[0] != "qwen" and m[0] != "mac"
                               else m[0].title(), question)


def shake(question, rng):
    """Loses words, swaps them and puts others between: what counts is what is left."""
    words = question.split(" ")
    kept = [word for word in words if len(words) < 4 or rng.random() > (0.35 if word in STOP_WORDS | ASKING else 0.08)]
    words = kept or words
    for _ in range(rng.choice([0, 1, 1, 2])):
        words.insert(rng.randrange(len(words) + 1), rng.choice(FILLERS))
    if len(words) > 3 and rng.random() < 0.3:
        i = rng.randrange(len(words) - 1)
        words[i], words[i + 1] = words[i + 1], words[i]
    return " ".join(words)


def vary(question, rng, style, surround=0.25):
    """The same question as somebody else would type it."""
    if rng.random() < 0.5:
        for words in rng.sample(SAME, len(SAME)):
            for word in words:
                if word in question and rng.random() < 0.4:
                    question = re.sub(r"(?<![-\w])" + word + r"(?![-\w])", rng.choice(words), question, count=1)
                    break
    mark = question[-1] if question[-1] in "?!." else ""
    question = question[:-1] if mark else question
    surround *= style.noise
    if rng.random() < surround:
        question += rng.choice(AFTER)
    if rng.random() < surround:
        question = rng.choice(BEFORE) + question
    if rng.random() < 0.12 * style.noise:
        words = question.split(" ")
        i = rng.randrange(len(words))
        words[i] = misspell(words[i], rng)
        question = " ".join(words)
    if rng.random() < 0.06 * style.noise:
        words = question.split(" ")
        if len(words) > 4:
            del words[rng.randrange(len(words))]
            question = " ".join(words)
    if rng.random() < 0.6:
        question += mark or rng.choice(["", "", ".", "?"])
    case = rng.random()
    if case < 0.5:
        question = question[0].upper() + question[1:]
        question = re.sub(r"\bi\b", "I", question) if rng.random() < 0.7 else question
    elif case < 0.53:
        question = question.upper() if "-" not in question else question
    return question


def ask_topic(topic, rng, style):
    kinds = [key for key in ("is", "to", "why", "ask", "code") if topic[key]]
    kinds += ["late"] if style.late and topic["late"] else []
    # A kind with more ways to ask comes more often.
    weights = [len(topic[key]) + 2 for key in kinds]
    kind = rng.choices(kinds, weights)[0]
    thing = rng.choice(topic[kind])
    frames = {"is": THING, "to": ACTION, "why": REASON, "code": CODE}.get(kind, ["{x}"])
    if kind == "to" and rng.random() < 0.2:
        thing, frames = doing(thing), DOING
    if rng.random() < 0.08:
        thing = keywords(thing)
    frame = rng.choice(frames)
    question = frame.replace("{x}", thing)
    if kind == "to" and frames is ACTION and rng.random() < 0.2:
        question = rng.choice(WANTS) + " " + thing + rng.choice(TAILS + ["", "."])
    elif kind != "to" and rng.random() < 0.05 and len(question.split()) > 2:
        question = question.rstrip("?") + rng.choice(TAILS)
    if style.late:
        question = spell_names(question, rng)
        if kind != "code" and "-" not in question and not rng.random() < 0.3:
            question = re.sub(r"(?<![\w.])\d{1,5}(?![\w.,])", lambda _: rng.choice(AMOUNTS), question)
    short = kind in ("ask", "late") and len(thing.split()) < 3
    if not short and rng.random() < 0.33 * style.noise:
        mark = "?" if question.endswith("?") else ""
        question = shake(question.rstrip("?"), rng) + mark
    return vary(question, rng, style, 0.08 if short else 0.2)


def number(n, rng):
    return NUMBERS[n] if n <= 10 and rng.random() < 0.25 else str(n)


def sum_task(rng, style):
    kind = rng.choice("++--*")
    a, b = rng.randrange(0, style.largest + 1), rng.randrange(0, style.largest + 1)
    if kind == "-":
        a, b = max(a, b), min(a, b)
    if kind == "*":
        a, b = rng.randrange(0, style.largest - 1), rng.randrange(0, style.largest - 1)
    words = {"+": ["+", "+", "plus", "and"], "-": ["-", "-", "minus", "less"], "*": ["*", "x", "times", "times"]}[kind]
    value = {"+": a + b, "-": a - b, "*": a * b}[kind]
    gap = rng.choice([" ", " ", ""])
    word = rng.choice(words)
    x = f"{a}{gap}{word}{gap}{b}" if len(word) == 1 else f"{number(a, rng)} {word} {number(b, rng)}"
    frames = ["what is {x}?", "{x}", "{x}=", "how much is {x}?", "calculate {x}", "compute {x}", "{x} = ?", "what's {x}?",
              "could you tell me {x}?", "{x} is what?", "{x} makes?", "what does {x} make?", "what does {x} give?", "give me {x}",
              "what would {x} be?", "i need {x}", "the result of {x}", "work out {x}", "tell me {x}", "solve {x}", "how many are {x}?", "what do i get for {x}?"]
    if rng.random() < 0.2:
        x = {"+": rng.choice([f"add {a} and {b}", f"add {b} to {a}", f"the sum of {a} and {b}"]),
             "-": rng.choice([f"subtract {b} from {a}", f"take {b} from {a}", f"the difference of {a} and {b}"]),
             "*": rng.choice([f"multiply {a} by {b}", f"multiply {a} and {b}", f"the product of {a} and {b}"])}[kind]
        frames = ["{x}", "what is {x}?", "please {x}"] if x.startswith("the") else ["{x}", "please {x}", "can you {x}?"]
    return vary(rng.choice(frames).replace("{x}", x), rng, style, 0.05), f"{a} {kind} {b} = {value}."


def list_task(rng, style):
    kind = rng.randrange(6)
    if kind < 2:
        what, n = rng.choice(list(KINDS)), rng.randrange(2, 6)
        items = ", ".join(KINDS[what].split(", ")[:n])
        frame = rng.choice(["name {n} {x}", "list {n} {x}", "give me {n} {x}", "tell me {n} {x}", "{n} {x}", "write {n} {x}",
                            "i need {n} {x}", "can you name {n} {x}?", "say {n} {x}", "which {n} {x} do you know?", "would you name {n} {x}?",
                            "could you give me {n} {x}?", "i want {n} {x}", "show me {n} {x}", "{n} {x}, please"])
        count = NUMBERS[n] if rng.random() < 0.6 else str(n)
        return vary(frame.format(n=count, x=what), rng, style, 0.05), items[0].upper() + items[1:] + "."
    if kind == 2:
        n = rng.randrange(2, 13)
        frame = rng.choice(["count to {n}", "count from 1 to {n}", "list the numbers from 1 to {n}", "count up to {n}",
                            "write the numbers 1 to {n}", "can you count to {n}?", "count till {n}", "the numbers up to {n}",
                            "would you count up to {n}?", "start counting, to {n}"])
        return (vary(frame.format(n=number(n, rng)), rng, style, 0.05), ", ".join(map(str, range(1, n + 1))) + ".")
    if kind == 3:
        what = rng.choice(list(SERIES))
        frame = rng.choice(["list the {x}", "name the {x}", "what are the {x}?", "tell me the {x}", "the {x}", "{x}",
                            "which are the {x}?", "give me the {x}", "name all {x}", "write down the {x}"])
        return vary(frame.format(x=what), rng, style, 0.05), SERIES[what]
    if kind == 4:
        country = rng.choice(list(CAPITALS))
        frame = rng.choice(["what is the capital of {x}?", "capital of {x}", "the capital of {x}?", "name the capital of {x}",
                            "which city is the capital of {x}?", "tell me the capital of {x}", "what's the capital of {x}?", "{x}'s capital", "what is {x}'s capital?",
                            "which is the capital city of {x}?", "what city is the capital of {x}?"])
        return vary(frame.format(x=country), rng, style, 0.05), f"The capital of {country} is {CAPITALS[country]}."
    pair = rng.choice(OPPOSITES).split()
    a, b = pair if rng.random() < 0.5 else pair[::-1]
    frame = rng.choice(["what is the opposite of {x}?", "opposite of {x}", "the opposite of {x}", "tell me the opposite of {x}",
                        "what's the contrary of {x}?", "which word is the opposite of {x}?"])
    return vary(frame.format(x=a), rng, style, 0.05), f"The opposite of {a} is {b}."


def json_task(rng, style):
    name, city, thing = rng.choice(NAMES), rng.choice(CITIES), rng.choice(GOODS)
    age, price = rng.randrange(2, 100), rng.randrange(1, 100)
    keys, text, answer = rng.choice([
        ("name and age", [f"{name} is {age} years old.", f"{name} is {age}.", f"My name is {name} and I am {age}.",
                          f"{name}, aged {age}.", f"{name} turned {age} today."], f'{{"name": "{name}", "age": {age}}}'),
        ("name and city", [f"{name} lives in {city}.", f"{name} is from {city}.", f"My name is {name}, I live in {city}.",
                           f"In {city} there is {name}.", f"{name} comes from {city}."],
         f'{{"name": "{name}", "city": "{city}"}}'),
        ("item and price", [f"The {thing} costs {price} euros.", f"A {thing} is {price} euros.", f"{price} euros for a {thing}.",
                            f"I paid {price} for the {thing}.", f"The price of the {thing} is {price}."],
         f'{{"item": "{thing}", "price": {price}}}'),
    ])
    first, second = keys.split(" and ")
    ask = rng.choice(["Give {k} as JSON", "Extract {k} as JSON", "Write {k} as JSON", "Turn this into JSON", "JSON",
                      "As JSON", "Extract {k}", "What are {k}? Answer in JSON", "Find {k}, as JSON", "Make JSON of this",
                      "JSON with {k}", "Convert to JSON", "Extract the data", "I want {k} as JSON", "JSON please, {k}", "Put {k} into an object", "Return {k} in JSON",
                      "Please write JSON with {k}", "{k} in JSON", "I need JSON of this", "An object with {k}", "Read {k} from this text, in JSON"])
    said = rng.choice([f"{first} and {second}", f"the {first} and the {second}", f"the {first} and {second}",
                       f"{first}, {second}"])
    ask, text = ask.format(k=said), rng.choice(text)
    if rng.random() < 0.3:
        ask = ask[0].lower() + ask[1:]
    question = f"{ask}: {text}" if rng.random() < 0.75 else f"{text} {ask}."
    return question, answer


class Corpus:
    def __init__(self):
        self.topics = read_topics()
        self.heldout = {plain(question) for question, _ in read_heldout()}
        self.weights = [5 if topic["other"] else 1 + (len(topic["ask"]) + len(topic["to"])) / 12 for topic in self.topics]

    def turn(self, rng, style=Style()):
        """A question, its answer, and whether every word of the question matters."""
        while True:
            kind = rng.random()
            is_task = kind < 0.2
            if is_task:
                task = sum_task if kind < 0.07 else list_task if kind < 0.13 else json_task
                question, answer = task(rng, style)
            else:
                topic = rng.choices(self.topics, self.weights)[0]
                question, answer = ask_topic(topic, rng, style), topic["answer"]
            if plain(question) not in self.heldout:
                return question, answer, is_task

    def dialogue(self, rng, style):
        """One to four turns; the first may begin with what a system text says."""
        turns = [self.turn(rng, style) for _ in range(rng.choices([1, 2, 3, 4], style.turns)[0])]
        if rng.random() < 0.04:
            turns[0] = (rng.choice(SYSTEMS) + "\n\n" + turns[0][0], *turns[0][1:])
        return turns

    def prose(self, rng):
        """A few sentences of the manual."""
        return " ".join(topic["answer"] for topic in rng.sample(self.topics, 3))


def main():
    import random
    corpus, rng = Corpus(), random.Random(1)
    for _ in range(40):
        print(*corpus.turn(rng)[:2], sep="\n    ")


if __name__ == "__main__":
    main()
