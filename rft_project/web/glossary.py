"""The words of the field, a sentence or two each. Shown on the help page; other pages link to a word by its anchor."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.text import slugify


@dataclass(frozen=True)
class Term:
    word: str
    meaning: str

    @property
    def anchor(self) -> str:
        return slugify(self.word)


@dataclass(frozen=True)
class Group:
    title: str
    terms: tuple[Term, ...]


GLOSSARY = (
    Group(
        "The idea",
        (
            Term(
                "Reinforcement fine-tuning",
                "A model answers your prompts many times, a grader scores each answer, and the model is changed so "
                "that good answers become more likely. It needs prompts and a way to score, not perfect answers.",
            ),
            Term(
                "Base model",
                "The model before training. Everything later is compared with it.",
            ),
            Term("Reward", "The score a grader gives one answer, from 0 (worst) to 1 (best). Also called score."),
            Term(
                "Supervised fine-tuning",
                "Training on answers that are copied. A short supervised warm-up helps where the base model never "
                "finds a good answer by itself.",
            ),
        ),
    ),
    Group(
        "Data",
        (
            Term("Trace", "One recorded conversation from your product: the messages, and what is known about it."),
            Term(
                "Record",
                "A trace as training uses it: messages that end with the user, and fields the grader may read. The "
                "answer your product gave is kept for comparing and is not trained on.",
            ),
            Term(
                "Reference answer",
                "What a right answer is, such as a label or a set of facts. Graders read it as "
                "item.reference_answer; the model never sees it.",
            ),
            Term(
                "Sanitize",
                "Check every record against the rules and set aside what cannot be used. Nothing is deleted.",
            ),
            Term("Topic", "A group of records that ask for similar things, found by clustering or written by you."),
            Term(
                "Coverage",
                "How the records are spread over the topics, beside the share each topic should have.",
            ),
            Term(
                "Balance",
                "Records of the smallest topic divided by those of the largest, from 0 to 1.",
            ),
            Term(
                "Near-duplicate",
                "A record that says almost the same as another one. Too many of them teach the model to repeat.",
            ),
            Term(
                "Training set and validation set",
                "The split of the records. The model learns from the training set and is measured on the validation "
                "set, which it never trains on.",
            ),
        ),
    ),
    Group(
        "Graders",
        (
            Term("Grader", "The rule that scores an answer. It decides what the model learns."),
            Term("String check", "Gives 1 when the answer equals, or contains, the reference answer, and 0 otherwise."),
            Term(
                "Text similarity",
                "Gives more the more the answer's words agree with the reference answer's.",
            ),
            Term("Python grader", "A function you write. It runs in a closed box without network or files."),
            Term("Multi-grader", "Several graders joined by a formula, so that an answer can be partly right."),
            Term(
                "Partial credit",
                "Scores between 0 and 1 for answers that are partly right. They give the model something to climb.",
            ),
            Term(
                "Reward hacking",
                "The score rises although the answers do not get better, because the model has found a trick. Reading "
                "samples is the way to notice.",
            ),
        ),
    ),
    Group(
        "Training",
        (
            Term(
                "Dry run",
                "The base model answers some training prompts several times and the grader scores them. It shows "
                "before you pay whether training can help.",
            ),
            Term(
                "Solved, can learn, out of reach",
                "Prompts whose answers all score high, differ, or all score low. Only the middle ones teach the model.",
            ),
            Term(
                "GRPO",
                "Group relative policy optimization: each answer is compared with the other answers to the same "
                "prompt. Above their mean it is made more likely, below it less.",
            ),
            Term("Step", "One change of the model, made after a batch of prompts was answered and scored."),
            Term("Epoch", "One pass over all training prompts."),
            Term("Checkpoint", "The model as it was after a certain step. Any of them can be deployed."),
            Term(
                "Temperature",
                "How freely the model picks its words: 0 takes the likeliest each time, 1 draws by chance.",
            ),
            Term("Token", "A piece of a word; models read, write and are paid in tokens."),
            Term(
                "95 % interval",
                "The range that holds the true value 95 times in 100. A change whose interval touches 0 is unclear.",
            ),
            Term("Deploy", "Make a trained model answer under a name that your program can call."),
        ),
    ),
)
