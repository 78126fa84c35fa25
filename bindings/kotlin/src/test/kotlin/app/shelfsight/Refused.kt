package app.shelfsight

import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.Assertions.assertEquals
import org.junit.jupiter.api.Assertions.assertFalse
import org.junit.jupiter.api.Assertions.assertThrows
import org.junit.jupiter.api.Assertions.assertTrue

/** That [work] throws this class, with one line of which [part] is a part. */
inline fun <reified T : ShelfSightException> refused(part: String, noinline work: suspend () -> Unit): T {
    val thrown = assertThrows(T::class.java) { runBlocking { work() } }
    assertTrue(part in thrown.reason, thrown.reason)
    assertEquals(thrown.reason, thrown.message)
    assertFalse('\n' in thrown.reason)
    return thrown
}
