/** What only admins of the server list: all users, all teams. */
import { queryOptions } from "@tanstack/react-query";
import { api, got } from "../../api/client";
import { allPages } from "../../api/pages";

export const usersQuery = queryOptions({ queryKey: ["users"], queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/admin/users", { params: { query } }))) });

export const teamsQuery = queryOptions({ queryKey: ["teams"], queryFn: async () => allPages(async (query) => got(api.GET("/api/v1/admin/teams", { params: { query } }))) });
