#include "libs/crm/klientiks/sim/mustache.h"

#include <gtest/gtest.h>

namespace dealstream::crm::klientiks::sim {
namespace {

using simkit::Json;

TEST(MustacheTest, SectionsOpenAnObject) {
  const Json context = {{"appointment", {{"id", 7}}}, {"new_data", {{"status", "a&b\"<"}}}};
  EXPECT_EQ(RenderMustache("?id={{#appointment}}{{id}}{{/appointment}}"
                           "&s={{#new_data}}{{status}}{{/new_data}} ,",
                           context),
            "?id=7&s=a&amp;b&quot;&lt; ,");
}

TEST(MustacheTest, WhatIsMissingIsNothing) {
  EXPECT_EQ(RenderMustache("[{{#new_data}}x{{id}}{{/new_data}}][{{id}}]", Json::object()), "[][]");
  EXPECT_EQ(RenderMustache("[{{#a}}x{{/a}}]", {{"a", nullptr}}), "[]");
  EXPECT_EQ(RenderMustache("[{{#a}}x{{/a}}]", {{"a", Json::array()}}), "[]");
}

TEST(MustacheTest, ListsRepeat) {
  EXPECT_EQ(
      RenderMustache("{{#a}}<{{id}}{{b}}>{{/a}}", {{"a", {{{"id", 1}}, {{"id", 2}}}}, {"b", "!"}}),
      "<1!><2!>");
}

TEST(MustacheTest, BrokenTemplatesAreNotTheEnd) {
  EXPECT_EQ(RenderMustache("a{{", Json::object()), "a{{");
  EXPECT_EQ(RenderMustache("a{{#x}}b", {{"x", true}}), "ab");
  EXPECT_EQ(RenderMustache("a{{/x}}b", Json::object()), "ab");
}

}  // namespace
}  // namespace dealstream::crm::klientiks::sim
