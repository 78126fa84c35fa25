#!/usr/bin/env python3
"""Checks that the code in the guides is the code that tests run, and that the files and versions they name
exist.

scripts/check-guides.py                    check
scripts/check-guides.py --android FOLDER   write the Android guide's activity as a source file, to be compiled
"""

import argparse
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).parent.parent
# Guide → language of its code → where that code is tested.
GUIDES = {
    "docs/android.md": {
        "kotlin": "android/app/src/test/kotlin/app/shelfsight/camera/GuideTest.kt",
        "kotlin-camera": "android/app/src/main/kotlin/app/shelfsight/camera/CameraScreen.kt",
    },
    "docs/ios.md": {"swift": "ios/CameraCoreTests/GuideTests.swift"},
}


# What Android Studio adds to the guide's activity by itself.
IMPORTS = """\
import android.app.Activity
import android.os.Bundle
import android.widget.TextView
import app.shelfsight.Engine
import app.shelfsight.Frame
import app.shelfsight.Packs
import kotlinx.coroutines.MainScope
import kotlinx.coroutines.cancel
import kotlinx.coroutines.flow.collect
import kotlinx.coroutines.launch
import java.io.File
"""


def squeezed(text: str) -> str:
    """Text without indentation, so that code may stand deeper in a file than in a guide."""
    return "\n".join(line.strip() for line in text.strip().splitlines())


def versions() -> list[str]:
    """Dependencies of the Android guide that are not those of the library."""
    guide = (ROOT / "docs/android.md").read_text()
    library = (ROOT / "android/library/build.gradle.kts").read_text()
    pom = (ROOT / "android/pom.xml").read_text()
    wrong = []
    for group, name, version in re.findall(r'implementation\("([\w.]+):([\w-]+):([\d.]+)[@"]', guide):
        if group == "app.shelfsight":
            own = f'group = "{group}"' in library and f'version = "{version}"' in library
        else:
            own = f"{group}:{name}:{version}" in library and re.search(
                rf"<artifactId>{name}</artifactId><version>{re.escape(version)}<", pom
            )
        if not own:
            wrong.append(f"docs/android.md: {group}:{name}:{version} is not what the library is built with")
    return wrong


def write_android(folder: pathlib.Path) -> None:
    """Writes the activity of the Android guide."""
    text = (ROOT / "docs/android.md").read_text()
    code = re.search(r"^```kotlin\n(class .*?)^```", text, re.MULTILINE | re.DOTALL)
    if code is None:
        sys.exit("docs/android.md has no class")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ShelfActivity.kt").write_text(IMPORTS + "\n" + code.group(1))


def main() -> int:
    """Prints what does not agree."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--android", type=pathlib.Path)
    if folder := parser.parse_args().android:
        write_android(folder)
        return 0
    wrong = versions()
    for guide, sources in GUIDES.items():
        text = (ROOT / guide).read_text()
        blocks = re.findall(r"^```(\S+)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        tested = [(language, block) for language, block in blocks if language in ("kotlin", "swift")]
        if not tested:
            wrong.append(f"{guide}: no code")
        code = "\n".join(squeezed((ROOT / source).read_text()) for source in sources.values())
        for language, block in tested:
            for part in re.split(r"^// …\n", block, flags=re.MULTILINE):
                if squeezed(part) not in code:
                    wrong.append(f"{guide}: this {language} code is in no test:\n{part}")
        for path in re.findall(r"`((?:scripts|android|ios|bindings|docs)/[\w./-]+)`", text):
            if not (ROOT / path).exists():
                wrong.append(f"{guide}: {path} does not exist")
    print("\n".join(wrong) if wrong else f"{len(GUIDES)} guides agree with their tests")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
