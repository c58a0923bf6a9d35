#pragma once

#include <string>
#include <string_view>

// Texts that people typed.
namespace dealstream::crm::hollihop {

// Without blanks at both ends; no-break spaces count as blanks.
std::string_view Trim(std::string_view text);

// In lower case: Latin and Cyrillic letters.
std::string Folded(std::string_view text);

// The same but for case and blanks around it.
bool SameName(std::string_view a, std::string_view b);

// Trimmed, and the Cyrillic letters й, ё, ї, ў in one character each where they were typed as a
// letter and an accent (as some systems of Apple do). Other sequences stay as they are.
std::string Composed(std::string_view text);

}  // namespace dealstream::crm::hollihop
