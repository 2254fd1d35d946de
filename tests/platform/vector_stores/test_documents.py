"""Documents of every kind, whole and broken."""

import io
import json
import zipfile
from pathlib import Path

import docx
import pytest
from pdf_files import make_pdf
from perijove_platform.vector_stores.chunking import chunked
from perijove_platform.vector_stores.documents import Document, DocumentError, Section, extract


def make_docx() -> bytes:
    document = docx.Document()
    document.add_paragraph("Quarterly report")
    table = document.add_table(1, 2)
    table.cell(0, 0).text, table.cell(0, 1).text = "region", "north"
    document.add_paragraph("The end")
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def make_bomb() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("word/document.xml", b"0" * (64 * 1024 * 1024))
    return out.getvalue()


def make_notebook() -> bytes:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "words"]},
        {"cell_type": "code", "source": "print(6*7)", "outputs": [{"output_type": "stream", "text": ["42\n"]}]},
        {"cell_type": "code", "source": "x", "outputs": [{"data": {"text/plain": "'y'", "image/png": "AAAA"}}]},
    ]
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}).encode()


async def read(tmp_path: Path, name: str, content: bytes) -> Document:
    path = tmp_path / "document"
    path.write_bytes(content)
    return await extract(path, name)


HTML = (
    b"<html><head><title>t</title><style>p{}</style></head><body><p>One <b>bold</b></p><script>no()</script><p>Two</p>"
)


@pytest.mark.parametrize(
    ("name", "content", "unit", "sections"),
    [
        ("a.txt", "grüße\r\nzwei".encode(), "line", [("grüße\nzwei", 1)]),
        ("a.txt", "grüße".encode("latin-1"), "line", [("grüße", 1)]),
        ("a.txt", "grüße".encode("utf-16"), "line", [("grüße", 1)]),
        ("no-suffix", b"\xef\xbb\xbf# Head", "line", [("# Head", 1)]),
        ("a.csv", b"name;age\nAda;36\n\nBob;7\n", "row", [("name: Ada\nage: 36", 2), ("name: Bob\nage: 7", 4)]),
        ("a.jsonl", b'{"a": 1}\n\n{"b": 2}\n', "line", [('{"a": 1}', 1), ('{"b": 2}', 3)]),
        ("a.json", b'{"k": "\xc3\xbc"}', "line", [('{\n "k": "ü"\n}', 1)]),
        ("a.ipynb", make_notebook(), "cell", [("# Title\nwords", 1), ("print(6*7)\n42\n", 2), ("x\n'y'", 3)]),
        ("a.html", HTML, "line", [("One bold\nTwo", 1)]),
        ("renamed.bin", HTML, "line", [("One bold\nTwo", 1)]),
        ("a.pdf", make_pdf("First page", "Second page"), "page", [("First page", 1), ("Second page", 2)]),
        ("misnamed.txt", make_pdf("First page"), "page", [("First page", 1)]),
        ("a.docx", make_docx(), "paragraph", [("Quarterly report", 1), ("region\tnorth", 2), ("The end", 3)]),
    ],
)
async def test_text_and_its_place(
    tmp_path: Path, name: str, content: bytes, unit: str, sections: list[tuple[str, int]]
) -> None:
    document = await read(tmp_path, name, content)
    assert document.unit == unit
    assert [(section.text, section.start) for section in document.sections] == sections


@pytest.mark.parametrize(
    ("name", "content", "code", "says"),
    [
        ("a.txt", b"", "invalid_file", "empty"),
        ("a.txt", b" \n\t ", "invalid_file", "no text"),
        ("report.pdf", b"just some text", "invalid_file", "plain text, not PDF"),
        ("a.pdf", b"%PDF-1.7\nnonsense", "invalid_file", "broken"),
        ("a.pdf", make_pdf("text")[:400], "invalid_file", ""),
        ("a.pdf", make_pdf("secret", key="p"), "invalid_file", "encrypted"),
        ("a.pdf", make_pdf(""), "invalid_file", "no text"),
        ("a.docx", make_docx()[:2000], "invalid_file", "broken"),
        ("a.docx", make_bomb(), "invalid_file", "bomb"),
        ("a.docx", b"PK\x03\x04 nothing", "invalid_file", "broken"),
        ("a.json", b'{"a": ', "invalid_file", "line 1"),
        ("a.json", b"[" * 100_000, "invalid_file", "nested"),
        ("a.jsonl", b'{"a": 1}\nnot json\n', "invalid_file", "Line 2"),
        ("a.ipynb", b'{"cells": 3}', "invalid_file", "cells"),
        ("a.ipynb", b'{"cells": [3]}', "invalid_file", "Cell 1"),
        ("a.png", b"\x89PNG\r\n\x1a\n0000", "unsupported_file", "PNG"),
        ("a.bin", bytes(range(256)) * 8, "unsupported_file", "binary"),
        ("a.txt", b"\xff\xfe\x00\xd8\x00", "invalid_file", "utf-16"),
    ],
)
async def test_a_document_that_cannot_be_read_says_why(
    tmp_path: Path, name: str, content: bytes, code: str, says: str
) -> None:
    with pytest.raises(DocumentError) as caught:
        await read(tmp_path, name, content)
    assert caught.value.code == code
    assert says in caught.value.message


async def test_a_zip_of_something_else_is_unsupported(tmp_path: Path) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("xl/workbook.xml", "<x/>")
    with pytest.raises(DocumentError) as caught:
        await read(tmp_path, "table.xlsx", out.getvalue())
    assert caught.value.code == "unsupported_file"


async def test_html_nested_without_end_is_read(tmp_path: Path) -> None:
    document = await read(tmp_path, "deep.html", b"<div>" * 200_000 + b"deep text")
    assert document.sections[0].text == "deep text"


def words(count: int) -> str:
    return " ".join(f"word{n}" for n in range(count))


@pytest.mark.parametrize(("size", "overlap"), [(100, 0), (100, 50), (800, 400), (200, 30)])
def test_chunks_are_bounded_overlap_and_cover_everything(size: int, overlap: int) -> None:
    text = "\n\n".join(f"{words(40)}. Sentence {n} ends here." for n in range(30))
    chunks = chunked(Document("line", [Section(text, 1)]), size=size, overlap=overlap)
    assert len(chunks) > 2
    assert all(chunk.tokens <= size for chunk in chunks)
    assert all(chunk.tokens >= size * 3 // 4 for chunk in chunks[:-1])
    ends = [0]
    for chunk in chunks:
        begin = text.index(chunk.text, max(0, ends[-1] - len(chunk.text)))
        assert not text[ends[-1] : begin].strip()
        assert begin + len(chunk.text) > ends[-1]
        assert overlap > 0 or begin >= ends[-1]
        ends.append(begin + len(chunk.text))
        assert (chunk.start, chunk.end) == (text.count("\n", 0, begin) + 1, text.count("\n", 0, ends[-1]) + 1)
    assert ends[-1] == len(text)


def test_chunks_know_their_pages_and_end_at_paragraphs() -> None:
    pages = [Section(words(60), number) for number in (1, 2, 3, 4)]
    chunks = chunked(Document("page", pages), size=400, overlap=0)
    assert [(chunk.start, chunk.end) for chunk in chunks] == [(1, 2), (3, 4)]
    assert chunks[0].text.endswith("word59")


@pytest.mark.parametrize("text", ["", "a", "😀" * 3000, "x" * 50_000, "\n" * 5000 + "end", " " * 40_000 + "z"])
def test_odd_texts_are_cut_without_loss(text: str) -> None:
    chunks = chunked(Document("line", [Section(text, 1)]), size=100, overlap=0)
    assert "".join("".join(chunk.text for chunk in chunks).split()).count("x") == text.count("x")
    assert bool(chunks) == bool(text.strip())
    assert sum(chunk.text.count("😀") for chunk in chunks) >= text.count("😀")
